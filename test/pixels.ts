/**
 * `npm run test:pixels -- FOLDER…`: the pictures of folders, by default ours, through the decoder of a worker, and what is different
 * with sharp's WebAssembly build (`--wasm`) and in Pillow (`--pillow`). Both are installed into a temporary folder, or beside the
 * project; what can't be had is left out with a word. Exits with 1 where the builds differ by more than 2 of 255.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { differenceOf, type Seen } from './pixels/cells.ts'
import { prepareEnvironment, pythonOf } from './support/python.ts'
import { collectSeeds } from './support/seeds.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    wasm: { type: 'boolean', default: false },
    pillow: { type: 'boolean', default: false },
    rows: { type: 'string', default: '40' }
  }
})

const here = join(import.meta.dirname, 'pixels')
/** Side of what pictures are decoded to. */
const side = '64'
/** Files that one process decodes. */
const portion = 200
/** Means of cells differ by that where decoder and resampling alone do, of 255. */
const muchFromPillow = 6
/** The builds are of the same library; vector code rounds otherwise than plain code. */
const muchFromWasm = 2

const scratch = mkdtempSync(join(tmpdir(), 'streamsight-pixels-'))
try {
  process.exitCode = (await main()) ? 0 : 1
} finally {
  rmSync(scratch, { recursive: true, force: true })
}

/** Whether both builds agree. */
async function main(): Promise<boolean> {
  const files = positionals.length > 0 ? positionals.flatMap(filesIn) : await ownFiles()
  const native = decode(files)
  console.log(`${files.length} files, ${native.filter(isSeen).length} of them pictures to us, ${msOf(native)}`)
  const differing = values.wasm ? compareWithWasm(files, native) : 0
  if (values.pillow) compareWithPillow(files, native)
  return differing === 0
}

function filesIn(folder: string): string[] {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).toSorted()
  return names.map(name => join(folder, name)).filter(file => statSync(file).isFile())
}

async function ownFiles(): Promise<string[]> {
  return (await collectSeeds()).map(({ name, image }) => {
    const file = join(scratch, name)
    writeFileSync(file, image)
    return file
  })
}

function compareWithWasm(files: string[], native: Seen[]): number {
  const hook = installWasm()
  if (hook === undefined) {
    console.log('not compared with the WebAssembly build: npm could not install it')
    return 0
  }
  const wasm = decode(files, ['--import', hook])
  console.log(`WebAssembly: ${wasm.filter(isSeen).length} pictures, ${msOf(wasm)}`)
  return report('WebAssembly', differences(native, wasm, muchFromWasm))
}

function compareWithPillow(files: string[], native: Seen[]): void {
  const environment = {
    folder: join(import.meta.dirname, '../.venv-pillow'),
    requirements: join(here, 'requirements.txt')
  }
  const obstacle = prepareEnvironment(environment)
  if (obstacle !== undefined) return console.log(`not compared with Pillow: ${obstacle}`)
  const pillow = inPortions(files, some => [pythonOf(environment), join(here, 'pillow.py'), side, ...some])
  console.log(`Pillow: ${pillow.filter(isSeen).length} pictures, ${msOf(pillow)}`)
  report('Pillow', differences(native, pillow, muchFromPillow))
}

/** sharp as npm installs it where there is no native build, and a module that puts it in the place of ours. */
function installWasm(): string | undefined {
  const { version } = JSON.parse(
    readFileSync(join(import.meta.dirname, '../node_modules/sharp/package.json'), 'utf8')
  ) as { version: string }
  const install = ['install', '--prefix', scratch, '--no-audit', '--no-fund', '--cpu=wasm32', `sharp@${version}`]
  writeFileSync(join(scratch, 'package.json'), '{}')
  if (spawnSync('npm', install, { stdio: 'ignore' }).status !== 0) return undefined
  const hooks = join(scratch, 'hooks.mjs')
  writeFileSync(
    hooks,
    `export const resolve = (specifier, context, next) =>
      next(specifier, specifier === 'sharp' ? { ...context, parentURL: import.meta.url } : context)`
  )
  const hook = join(scratch, 'hook.mjs')
  writeFileSync(hook, `import { register } from 'node:module'\nregister('./hooks.mjs', import.meta.url)`)
  return hook
}

function decode(files: string[], nodeArgs: string[] = []): Seen[] {
  const script = join(here, 'decode.ts')
  return inPortions(files, some => [process.execPath, ...nodeArgs, '--import', 'tsx', script, side, ...some])
}

function inPortions(files: string[], commandOf: (some: string[]) => string[]): Seen[] {
  const seen: Seen[] = []
  while (seen.length < files.length) {
    const some = files.slice(seen.length, seen.length + portion)
    const [command = '', ...args] = commandOf(some)
    const { stdout, stderr, status, signal } = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 2 ** 30 })
    const lines = stdout.split('\n').filter(line => line.startsWith('{"file"'))
    seen.push(...lines.map(line => JSON.parse(line) as Seen))
    if (lines.length === 0 && status !== null) throw new Error(`${command}: ${stderr.slice(-2_000)}`)
    const lost = files[seen.length]
    if (lines.length < some.length && lost !== undefined)
      seen.push({ file: lost, refused: `the process ended with ${signal ?? status}` })
    process.stderr.write(`\r${seen.length} of ${files.length} `)
  }
  process.stderr.write('\r\x1b[K')
  return seen
}

interface Difference {
  file: string
  what: string
  by: number
}

/** Where two decoders disagree: that there is a picture, or by how much of 255 its cells differ. */
function differences(ours: Seen[], theirs: Seen[], much: number): { found: Difference[]; both: number[] } {
  const others = new Map(theirs.map(seen => [seen.file, seen]))
  const both: number[] = []
  const found = ours.flatMap((seen): Difference[] => {
    const other = others.get(seen.file) ?? { file: seen.file, refused: 'not answered' }
    if (!isSeen(seen) && !isSeen(other)) return []
    if (!isSeen(seen)) return [{ file: seen.file, what: `only there; here: ${seen.refused}`, by: Infinity }]
    if (!isSeen(other)) return [{ file: seen.file, what: `only here; there: ${other.refused}`, by: Infinity }]
    const by = differenceOf(seen.cells, other.cells)
    both.push(by)
    return by > much ? [{ file: seen.file, what: `differs by ${by.toFixed(1)} of 255`, by }] : []
  })
  return { found, both }
}

/** Returns how many differ. */
function report(name: string, { found, both }: { found: Difference[]; both: number[] }): number {
  const sorted = both.toSorted((a, b) => a - b)
  const differing = found.filter(({ by }) => by !== Infinity)
  const median = sorted[Math.floor(sorted.length / 2)] ?? NaN
  console.log(
    `${name}: ${both.length} in both, largest cell difference ${median.toFixed(2)} in the median; ${differing.length} differ much, ${found.length - differing.length} are a picture to one alone`
  )
  const shown = found.toSorted((a, b) => Number(a.by === Infinity) - Number(b.by === Infinity) || b.by - a.by)
  for (const { file, what } of shown.slice(0, Number(values.rows))) console.log(`  ${file}: ${what}`)
  return differing.length
}

function isSeen(seen: Seen): seen is Extract<Seen, { cells: number[] }> {
  return 'cells' in seen
}

function msOf(seen: Seen[]): string {
  return `${Math.round(seen.filter(isSeen).reduce((sum, { ms }) => sum + ms, 0))} ms`
}

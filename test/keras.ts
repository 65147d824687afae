/** `npm run test:keras`: what Keras 2 and 3 compute, against what the artifacts made from their files compute. */
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readKerasH5 } from '../packages/keras/src/read-h5.ts'
import {
  best,
  largestDifference,
  probabilities,
  runOnnx,
  runTfjs,
  useWasm,
  type Images
} from '../packages/keras/test/run.ts'

const sources = join(import.meta.dirname, 'keras')
const environment = join(import.meta.dirname, '../.venv-keras')
const python = join(environment, process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python')
/** Of probabilities: what the artifacts of one model may differ by. */
const tolerance = 1e-3
const artifacts = { onnx: runOnnx, 'tfjs-layers': runTfjs }
const columns = [8, 16, 16, 13, 12] as const

/** A model in the index.json of save.py; a file of Keras' scores is [images, classes]. */
interface SavedModel {
  name: string
  images: number
  shape: [number, number, number]
  architecture: string | null
  files: Array<{ form: string; file: string }>
}
interface Comparison {
  difference: number
  sameBest: boolean
}

await main()

async function main(): Promise<void> {
  const obstacle = prepareEnvironment()
  if (obstacle !== undefined) return console.log(`Nothing was compared with Keras: ${obstacle}`)

  await useWasm()
  say(['keras', 'model', 'form', 'artifact', 'difference'], 'same best')
  const passes = [...(await compareVersion('3')), ...(await compareVersion('2'))]
  const failed = passes.filter(passed => !passed).length
  console.log(`${passes.length - failed} passed, ${failed} failed`)
  process.exitCode = failed === 0 && passes.length > 0 ? 0 : 1
}

/** Installs Keras, once: it takes 1.6 GB. Gives the reason if it can't be had here. */
function prepareEnvironment(): string | undefined {
  const wanted = join(sources, 'requirements.txt')
  const installed = join(environment, 'requirements.txt')
  if (existsSync(installed) && readFileSync(installed, 'utf8') === readFileSync(wanted, 'utf8')) return undefined
  if (!succeeds('python3', ['-c', 'import sys, venv; sys.exit(sys.version_info < (3, 9))']))
    return 'there is no python3 from 3.9 on with venv'
  if (!succeeds('python3', ['-m', 'venv', '--clear', environment]))
    return 'python3 could not make a virtual environment'
  console.log('installing Keras into .venv-keras …')
  if (!succeeds(python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', wanted]))
    return 'pip could not install test/keras/requirements.txt'
  copyFileSync(wanted, installed)
  return undefined
}

function succeeds(command: string, args: string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0
}

/** One result for each artifact of each file that this version of Keras writes. */
async function compareVersion(version: '2' | '3'): Promise<boolean[]> {
  const folder = mkdtempSync(join(tmpdir(), 'streamsight-keras-'))
  try {
    const { status, stderr } = spawnSync(python, [join(sources, 'save.py'), folder, version], {
      encoding: 'utf8',
      env: { ...process.env, TF_CPP_MIN_LOG_LEVEL: '3', CUDA_VISIBLE_DEVICES: '-1' }
    })
    if (status !== 0) throw new Error(`save.py failed:\n${stderr}`)
    const models = JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8')) as SavedModel[]
    const passes: boolean[] = []
    for (const model of models) passes.push(...(await compareModel(model, { folder, version })))
    return passes
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function compareModel(
  model: SavedModel,
  { folder, version }: { folder: string; version: string }
): Promise<boolean[]> {
  const passes: boolean[] = []
  for (const { form, file } of model.files) {
    for (const artifact of ['onnx', 'tfjs-layers'] as const) {
      const row = [version, model.name, form, artifact]
      try {
        const { difference, sameBest } = await compareArtifact(model, { folder, file, artifact })
        const passed = difference <= tolerance && sameBest
        say([...row, difference.toExponential(1)], `${sameBest ? 'yes' : 'no'}${passed ? '' : '   FAILED'}`)
        passes.push(passed)
      } catch (error) {
        say([...row, '–'], `FAILED: ${(error as Error).message}`)
        passes.push(false)
      }
    }
  }
  return passes
}

async function compareArtifact(
  model: SavedModel,
  { folder, file, artifact }: { folder: string; file: string; artifact: keyof typeof artifacts }
): Promise<Comparison> {
  const network = await readKerasH5(join(folder, file))
  if (model.architecture !== (network.architecture ?? null))
    throw new Error(`taken for ${network.architecture ?? 'no well-known network'}`)
  const [height, width] = model.shape
  const images: Images = { count: model.images, height, width, data: readFloats(join(folder, `${model.name}.input`)) }
  const scores = probabilities(await artifacts[artifact](network, images), network)
  const expected = probabilities(readFloats(join(folder, `${model.name}.output`)), network)
  const differences = expected.map((row, i) => largestDifference(row, scores[i] ?? new Float32Array()))
  return {
    difference: Math.max(...differences),
    sameBest: expected.every((row, i) => best(row) === best(scores[i] ?? row.subarray(0, 0)))
  }
}

function readFloats(path: string): Float32Array {
  return new Float32Array(new Uint8Array(readFileSync(path)).buffer)
}

function say(cells: readonly string[], last: string): void {
  console.log(cells.map((cell, i) => cell.padEnd(columns[i] ?? 0)).join('') + last)
}

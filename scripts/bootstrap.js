/**
 * Brings a bare clone to where the system can run: npm packages, the build. Uses nothing but Node, because nothing else is
 * there yet.
 */
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = dirname(dirname(fileURLToPath(import.meta.url)))

/** Something the person at the terminal has to do; shown as one line. */
export class BootstrapError extends Error {}

/**
 * To standard error: standard output belongs to the log, whose lines are JSON.
 * @param {string} message
 */
export function say(message) {
  console.error(`streamsight: ${message}`)
}

/**
 * Runs a script's `main`; what the person has to do is said in a line, without a stack.
 * @param {() => Promise<void>} main
 */
export async function run(main) {
  try {
    await main()
  } catch (error) {
    if (!(error instanceof BootstrapError)) throw error
    say(error.message)
    process.exit(1)
  }
}

/**
 * The Node versions that package.json allows, each with everything above it of the same major version.
 * @returns {Array<{ major: number, minor: number }>}
 */
export function supportedNodes() {
  const { engines } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  return [...engines.node.matchAll(/\^(\d+)\.(\d+)/g)].map(([, major, minor]) => ({
    major: Number(major),
    minor: Number(minor)
  }))
}

export function assertNode() {
  const [major, minor = 0] = process.versions.node.split('.').map(Number)
  const supported = supportedNodes()
  if (supported.some(range => range.major === major && range.minor <= minor)) return
  const names = supported.map(range => `${range.major}.${range.minor}`)
  throw new BootstrapError(
    `Node ${process.versions.node} is not supported: install ${names.join(', ')}, or a later release of one of them`
  )
}

/** Installs the npm packages if they are missing or not those of package-lock.json. */
export async function installPackages() {
  const stamp = join(root, 'node_modules', '.streamsight-lock')
  const wanted = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return

  say('installing npm packages, about a minute …')
  // ONNX Runtime's installer would download CUDA libraries, and fail the whole installation where it can't.
  await runQuietly('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { ONNXRUNTIME_NODE_INSTALL: 'skip' })
  if (!canLoadSharp()) await installWasmSharp()
  if (hasNvidiaGpu()) await fetchCudaLibraries()
  writeFileSync(stamp, wanted)
}

/** Whether the library that decodes pictures has a build for this machine. */
function canLoadSharp() {
  return spawnSync(process.execPath, ['-e', 'require("sharp")'], { cwd: root, stdio: 'ignore' }).status === 0
}

/** The same library on WebAssembly, which sharp takes by itself where it has nothing else. */
async function installWasmSharp() {
  say(
    `no build of sharp for ${process.platform}-${process.arch} runs here: installing its WebAssembly build, half as fast …`
  )
  const { version } = JSON.parse(readFileSync(join(root, 'node_modules', 'sharp', 'package.json'), 'utf8'))
  const args = ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error', `@img/sharp-wasm32@${version}`]
  await runQuietly('npm', args, { ONNXRUNTIME_NODE_INSTALL: 'skip' })
}

/**
 * Compiles what changed.
 * @param {{ quiet?: boolean }} [options] `quiet` for a command whose output somebody reads
 */
export async function build({ quiet = false } = {}) {
  if (!quiet) say('building …')
  await runQuietly(
    process.execPath,
    [join(root, 'node_modules', 'turbo', 'bin', 'turbo'), 'run', 'build', '--output-logs=errors-only', '--ui=stream'],
    { TURBO_TELEMETRY_DISABLED: '1' }
  )
}

function hasNvidiaGpu() {
  return spawnSync('nvidia-smi', ['-L'], { stdio: 'ignore' }).status === 0
}

async function fetchCudaLibraries() {
  say('NVIDIA GPU found: fetching ONNX Runtime’s CUDA libraries …')
  try {
    await runQuietly(process.execPath, [
      join(root, 'node_modules', 'onnxruntime-node', 'script', 'install.js'),
      '--onnxruntime-node-install=cuda12'
    ])
  } catch {
    say('the CUDA libraries could not be fetched; ONNX Runtime will use WebGPU or the CPU')
  }
}

/** What `runQuietly` runs at the moment.
 * @type {Set<import('node:child_process').ChildProcess>} */
const quiet = new Set()

/** Ends what `runQuietly` runs: an installation that nobody waits for any more. */
export function endQuietly() {
  for (const child of quiet) child.kill('SIGTERM')
}

/**
 * Runs a command without its chatter; what it said is shown if it fails. A dot a second shows that it is alive.
 * @param {string} command
 * @param {string[]} args
 * @param {Record<string, string>} [env]
 */
export async function runQuietly(command, args, env = {}) {
  const child = spawn(command, args, { cwd: root, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  quiet.add(child)
  let output = ''
  child.stdout.on('data', chunk => {
    output += chunk
  })
  child.stderr.on('data', chunk => {
    output += chunk
  })
  const dots = setInterval(() => {
    if (process.stderr.isTTY) process.stderr.write('.')
  }, 1_000)
  const code = await new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  }).finally(() => {
    clearInterval(dots)
    quiet.delete(child)
  })
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
  if (code !== 0)
    throw new BootstrapError(`"${[command.split('/').pop(), ...args].join(' ')}" failed:\n${output.trim()}`)
}

import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { access, mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { platform } from 'node:os'
import { join } from 'node:path'
import { ModelError } from '../../store/error.ts'

/** What converts a SavedModel, tried together on 2026-11-25 with Python 3.11; macOS has no `tensorflow-cpu`. */
export const pythonPins: readonly string[] = [
  `${platform() === 'linux' ? 'tensorflow-cpu' : 'tensorflow'}==2.21.0`,
  'tf2onnx==1.17.0',
  'onnx==1.23.2',
  'protobuf==7.36.2'
]

export interface PythonOptions {
  /** The interpreter that the environment is made with, such as `python3`. */
  python: string
  /** Where the environment is kept, such as `~/.cache/streamsight`. */
  cacheDir: string
  signal?: AbortSignal | undefined
  /** Told what goes on: the first time, hundreds of megabytes are downloaded. */
  onStep?: ((step: string) => void) | undefined
}

/** Writes a SavedModel to `output` as ONNX. Throws a ModelError with what Python said if that fails. */
export async function convertSavedModel(dir: string, output: string, options: PythonOptions): Promise<void> {
  const python = await environmentOf(options)
  options.onStep?.(`Converting ${dir} to ONNX …`)
  const args = conversionOf(dir, output)
  await run(python, args, { ...options, failure: `${dir}: tf2onnx can't convert it` })
}

/** The arguments of Python that convert a SavedModel. */
export function conversionOf(dir: string, output: string): string[] {
  return ['-m', 'tf2onnx.convert', '--opset', '17', '--saved-model', dir, '--output', output]
}

/** An environment with the pinned packages, made once for each interpreter and set of pins. */
async function environmentOf(options: PythonOptions): Promise<string> {
  const key = createHash('sha256')
    .update([options.python, ...pythonPins].join('\n'))
    .digest('hex')
    .slice(0, 12)
  const dir = join(options.cacheDir, `python-${key}`)
  const python = join(dir, platform() === 'win32' ? 'Scripts/python.exe' : 'bin/python')
  const isThere = await access(python).then(
    () => true,
    () => false
  )
  if (!isThere) await makeEnvironment(dir, options)
  return python
}

/** Beside its place first: an environment that is there is whole. */
async function makeEnvironment(dir: string, options: PythonOptions): Promise<void> {
  options.onStep?.(`Making a Python environment in ${dir} (about 1.7 GB, only the first time) …`)
  await mkdir(options.cacheDir, { recursive: true })
  const begun = await mkdtemp(join(options.cacheDir, '.python-'))
  try {
    const failure = `--python: can't make an environment with "${options.python}", which must be Python 3.10 to 3.13 with venv`
    await run(options.python, ['-m', 'venv', begun], { ...options, failure })
    const python = join(begun, platform() === 'win32' ? 'Scripts/python.exe' : 'bin/python')
    const install = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...pythonPins]
    await run(python, install, { ...options, failure: `--python: pip can't install ${pythonPins.join(' ')}` })
    await rename(begun, dir)
  } finally {
    await rm(begun, { recursive: true, force: true })
  }
}

/** Enough of what a program said last to tell what went wrong. */
const keptCharacters = 2_000

async function run(
  command: string,
  args: string[],
  { failure, signal }: PythonOptions & { failure: string }
): Promise<void> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], signal })
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      said = (said + chunk).slice(-keptCharacters)
    })
  const code = await new Promise<number | string>((resolve, reject) => {
    child.once('error', error => (signal?.aborted === true ? reject(signal.reason as Error) : resolve(error.message)))
    child.once('close', code => resolve(code ?? 'killed'))
  })
  if (code !== 0) throw new ModelError(`${failure} (${code}): ${lastLines(said)}`)
}

function lastLines(text: string): string {
  return text.trim().split('\n').slice(-3).join('\n')
}

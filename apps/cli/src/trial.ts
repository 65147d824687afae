import { spawn, type ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { execPath } from 'node:process'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { dirname } from 'node:path'
import { ModelError, type Model } from '@streamsight/models'

/** Time and memory that a program may take. */
interface Budget {
  cpuMs: number
  /** Only a program that waits for something reaches it. */
  wallMs: number
  bytes: number
}

/** Node, the library and a small model take 1 s and 200 MB. */
const base: Budget = { cpuMs: 9_000, wallMs: 60_000, bytes: 1.5 * 1024 ** 3 }
/** ONNX Runtime reads and optimizes 100 MB a second, TensorFlow.js a tenth of that; both keep several copies. */
const bytesPerMs = 4_000
const bytesPerByte = 10
const watchEachMs = 100

/**
 * Runs a model in a process of the worker's, which has the engines. Rejects with a ModelError that says what is wrong; a model
 * that takes too long or too much memory is one such.
 */
export async function tryModel({ dir, manifest }: Model, signal?: AbortSignal): Promise<void> {
  // The worker is started and never imported: apps don't share code.
  const program = fileURLToPath(import.meta.resolve('@streamsight/worker/trial'))
  const child = spawn(execPath, [program, dirname(dir), manifest.name], {
    stdio: ['ignore', 'pipe', 'ignore'],
    ...(signal === undefined ? {} : { signal, killSignal: 'SIGKILL' })
  })
  const fault = await faultOf(child, budgetOf(manifest.artifacts.flatMap(({ files }) => files)))
  if (fault !== undefined) throw new ModelError(`${manifest.name}: it can't be served: ${explain(fault)}`)
}

async function faultOf(child: ChildProcess, budget: Budget): Promise<string | undefined> {
  let over: string | undefined
  const startedMs = performance.now()
  const watch = setInterval(() => {
    over ??= exceeded(child.pid ?? 0, performance.now() - startedMs, budget)
    if (over !== undefined) child.kill('SIGKILL')
  }, watchEachMs)
  try {
    const ended = new Promise<string>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (code, killed) =>
        resolve(killed === null ? `ended with code ${code}` : `was ended by ${killed}`)
      )
    })
    const [answer, end] = await Promise.all([child.stdout === null ? '' : text(child.stdout), ended])
    if (over !== undefined) return over
    if (!answer.endsWith('}\n')) return `the engine failed without an answer and ${end}`
    return (JSON.parse(answer) as { fault?: string }).fault
  } finally {
    clearInterval(watch)
  }
}

function budgetOf(files: Array<{ bytes: number }>): Budget {
  const size = files.reduce((sum, { bytes }) => sum + bytes, 0)
  return {
    cpuMs: base.cpuMs + size / bytesPerMs,
    wallMs: base.wallMs + (4 * size) / bytesPerMs,
    bytes: base.bytes + bytesPerByte * size
  }
}

/** Which part of its budget a process has used up. Only Linux tells of CPU time and memory; elsewhere its time alone is bounded. */
function exceeded(pid: number, wallMs: number, budget: Budget): string | undefined {
  const used = usageOf(pid)
  if (used.bytes > budget.bytes) return `running it once took more than ${Math.round(budget.bytes / 1e6)} MB of memory`
  if (used.cpuMs > budget.cpuMs)
    return `running it once took more than ${Math.round(budget.cpuMs / 1_000)} s of CPU time`
  return wallMs > budget.wallMs ? `it did not answer within ${Math.round(budget.wallMs / 1_000)} s` : undefined
}

/** The kernel counts CPU time in hundredths of a second and memory in pages of 4 KiB. */
function usageOf(pid: number): { cpuMs: number; bytes: number } {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ')
      .map(Number)
    return { cpuMs: ((fields[11] ?? 0) + (fields[12] ?? 0)) * 10, bytes: (fields[21] ?? 0) * 4_096 }
  } catch {
    // No such file: another system, or the process has just ended.
    return { cpuMs: 0, bytes: 0 }
  }
}

const tooNew =
  'export it with an older opset (opset_version=17), ' +
  'or convert it with onnx.version_converter and set ir_version to 10'

/** What an engine says, without its source lines and our folders, and what to do about it where that is known. */
function explain(fault: string): string {
  const plain = fault
    .replace(/^ENGINE=\S+ can't run model "[^"]*" here: /, '')
    .replace(/Load model from \S+ failed: ?/, '')
    .replaceAll(/\S+\.(?:cc|cpp|h):\d+ [\w:~<>]+(?:\([^()]*\))?(?: const)? ?/g, '')
  const [, opset, newest] = /Opset (\d+) is under development.*till opset (\d+)/i.exec(plain) ?? []
  if (opset !== undefined)
    return `its opset ${opset} is newer than ${newest}, the newest that ONNX Runtime knows here: ${tooNew}`
  if (/IR version|opset/i.test(plain))
    return `${plain.replace(/^.*?(Unsupported|ONNX Runtime)/, '$1')}. ONNX Runtime is older here: ${tooNew}`
  return plain
}

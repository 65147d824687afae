import { readdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { cpuUsage, memoryUsage } from 'node:process'
import { Worker } from 'node:worker_threads'
import { ModelError } from '../store/error.ts'
import type { InspectOptions } from './inspect.ts'
import type { Inspected } from './inspected.ts'
import type { Inspection } from './inspection-thread.ts'

/** A small file takes 0.1 s of the process's CPU time, and nothing may take over 10 s. */
const baseMs = 8_000
/** On a machine that has much else to do, the clock says nothing of a file. Only a reading that waits for something gets here. */
const wallPerCpu = 4
/** A Keras file of 500 MB takes 6 s to convert on two cores (2026-11-25); disks may be slow. */
const bytesPerMs = 10_000
/** HDF5's WebAssembly and the library code take 150 MB, a conversion about four times the file. */
const baseBytes = 768 * 1024 * 1024
const bytesPerByte = 8
/** Parsed text and graphs; weights lie outside of V8's heap. */
const maxHeapMb = 1_024

/** Characters of a message; the longest of ours have 500. */
const maxMessage = 1_500

export interface GuardOptions {
  signal?: AbortSignal | undefined
  /** By the file's size if not given. */
  limits?: Limits
}

/** CPU time of a reading, and bytes by which the process may grow meanwhile. */
interface Limits {
  ms: number
  bytes: number
}

/**
 * Reads a model file in a thread of its own, and ends that if it takes too long or too much memory: a model file may be made to
 * do so. Every failure is a ModelError with one plain sentence, whatever the file holds.
 */
export async function inspectGuarded(
  path: string,
  options: InspectOptions,
  { signal, limits }: GuardOptions = {}
): Promise<Inspected> {
  const worker = startThread(path, options)
  try {
    return answerOf(await answered(worker, { path, signal, limits: limits ?? (await limitsFor(path)) }), path)
  } finally {
    await worker.terminate()
  }
}

function startThread(path: string, options: InspectOptions): Worker {
  // Tests run the sources, but a thread takes no TypeScript: for them it is the compiled one too.
  const script = import.meta.url.endsWith('.ts') ? '../../dist/import/inspection-thread.js' : './inspection-thread.js'
  return new Worker(new URL(script, import.meta.url), {
    workerData: { path, options },
    resourceLimits: { maxOldGenerationSizeMb: maxHeapMb },
    // It is JavaScript: what else the process was started with, such as a loader for TypeScript, only costs time.
    execArgv: [],
    // What a library prints about a file is no message for the person who imports it.
    stdout: true,
    stderr: true
  })
}

interface Waiting extends GuardOptions {
  path: string
  limits: Limits
}

/** What the thread says; a ModelError if it ends without a word, or passes a limit. */
async function answered(worker: Worker, { path, signal, limits }: Waiting): Promise<Inspection> {
  const startedMs = performance.now()
  const startCpu = cpuUsage()
  const startBytes = memoryUsage.rss()
  let watch: NodeJS.Timeout | undefined
  let abort = () => {}
  try {
    return await new Promise<Inspection>((resolve, reject) => {
      const refuse = (why: string) => reject(new ModelError(`${path}: ${why}`))
      abort = () => reject(signal?.reason as Error)
      watch = setInterval(() => {
        const { user, system } = cpuUsage(startCpu)
        const cpuMs = (user + system) / 1_000
        if (cpuMs > limits.ms || performance.now() - startedMs > wallPerCpu * limits.ms)
          refuse(`not understood within ${Math.round(limits.ms / 1_000)} s: it is damaged, or made to keep us busy`)
        if (memoryUsage.rss() - startBytes > limits.bytes)
          refuse(
            `needs more than ${Math.round(limits.bytes / 1e6)} MB to be understood: it is damaged, or made for that`
          )
      }, 50)
      worker.once('message', resolve)
      worker.once('error', error => refuse(damaged(error.message)))
      worker.once('exit', code => refuse(damaged(`its reader ended with code ${code}`)))
      signal?.addEventListener('abort', abort)
      if (signal?.aborted) abort()
    })
  } finally {
    clearInterval(watch)
    signal?.removeEventListener('abort', abort)
  }
}

function answerOf(answer: Inspection, path: string): Inspected {
  if ('inspected' in answer) return answer.inspected
  throw new ModelError(oneLine('fault' in answer ? answer.fault : `${path}: ${damaged(answer.crash)}`))
}

/** A message may quote the file, and a file may hold line ends and what a terminal obeys. */
function oneLine(message: string): string {
  return message.replaceAll(/\p{Cc}+/gu, ' ').slice(0, maxMessage)
}

function damaged(reason: string): string {
  return `damaged, or not the kind of file that it says it is (${reason.split('\n')[0]?.slice(0, 200)})`
}

/** By the size of what is to be read: of a model.json, with all that lies beside it. */
async function limitsFor(path: string): Promise<Limits> {
  const names = path.endsWith('.json') ? (await readdir(dirname(path))).map(name => join(dirname(path), name)) : [path]
  const found = await Promise.all(names.map(name => stat(name).catch(() => undefined)))
  const size = found.reduce((sum, entry) => sum + (entry?.isFile() ? entry.size : 0), 0)
  return { ms: baseMs + size / bytesPerMs, bytes: baseBytes + bytesPerByte * size }
}

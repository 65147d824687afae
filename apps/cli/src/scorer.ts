import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { execPath } from 'node:process'
import { createInterface } from 'node:readline'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ModelError, type Input, type Manifest, type Model } from '@streamsight/models'

/** What the worker's scorer program understands and answers: see its source. */
export interface ScoreRequest {
  path: string
  input?: Input
  activation?: Manifest['output']['activation']
}
type Answer = { probabilities: number[] } | { fault: string }

export type Precision = 'auto' | 'exact' | 'int8'

/** A model that answers pictures in a process of its own. Close it. */
export interface Scorer {
  /** What runs it, such as "onnx-cpu, int8: avx512_vnni found". */
  engine: string
  /** Probabilities of all classes in index order. Rejects with a ModelError that says why this picture has none. */
  score: (request: ScoreRequest) => Promise<number[]>
  close: () => void
}

/** Starts the worker's program that answers pictures. Rejects with a ModelError if no engine can run the model here. */
export async function openScorer(
  { dir, manifest }: Model,
  { precision = 'auto', signal }: { precision?: Precision; signal?: AbortSignal }
): Promise<Scorer> {
  // The worker is started and never imported: apps don't share code.
  const program = fileURLToPath(import.meta.resolve('@streamsight/worker/scorer'))
  const child = spawn(execPath, [program, dirname(dir), manifest.name, precision], {
    stdio: ['pipe', 'pipe', 'ignore'],
    ...(signal === undefined ? {} : { signal, killSignal: 'SIGKILL' })
  })
  child.on('error', () => child.kill())
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  const close = () => {
    child.stdin.end()
  }
  try {
    await once(child, 'spawn')
    const ready = (await next()) as { engine: string; precisionReason: string } | { fault: string }
    if ('fault' in ready) throw new ModelError(ready.fault)
    return { engine: `${ready.engine}, ${ready.precisionReason}`, score, close }
  } catch (error) {
    close()
    throw error
  }

  /** Requests are answered in order, and only one is under way. */
  async function score(request: ScoreRequest): Promise<number[]> {
    child.stdin.write(`${JSON.stringify(request)}\n`)
    const answer = (await next()) as Answer
    if ('fault' in answer) throw new ModelError(`${request.path}: ${answer.fault}`)
    return answer.probabilities
  }

  async function next(): Promise<unknown> {
    const { value, done } = await lines.next()
    signal?.throwIfAborted()
    if (done === true) throw new ModelError(`${manifest.name}: the engine ended without an answer`)
    return JSON.parse(value)
  }
}

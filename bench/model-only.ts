/**
 * The engine of a worker with nothing around it, in a process of its own: how many images a second the same model can do
 * with the same engine and threads. Parent and child talk in messages.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { openModel } from '@streamsight/models'
import { startInference, type Inference } from '../apps/worker/dist/engines/inference.js'
import { median } from './figures.ts'

export interface ModelOptions {
  modelsDir: string
  model: string
  /** Images in a batch: as many as the worker runs together that it is compared with. */
  batchSize: number
  threads?: number
}

type Question = { what: 'throughput' | 'latency'; forMs: number }
type Answer = { value: number }

/** The model alone; asked in turn with the whole system, and idle meanwhile. */
export async function startModelOnly({ modelsDir, model, batchSize, threads = availableParallelism() }: ModelOptions) {
  const child = fork(fileURLToPath(import.meta.url), [modelsDir, model, String(threads), String(batchSize)], {
    execArgv: ['--import', 'tsx']
  })
  const ready = await next<{ engine: string }>(child)

  return {
    ...ready,
    /** Images a second in batches of `batchSize`. */
    imagesPerSecond: (forMs: number): Promise<number> => ask({ what: 'throughput', forMs }),
    /** Median milliseconds of a single image. */
    latencyMs: (forMs: number): Promise<number> => ask({ what: 'latency', forMs }),
    stop: (): boolean => child.kill()
  }

  async function ask(question: Question): Promise<number> {
    child.send(question)
    return (await next<Answer>(child)).value
  }
}

export type ModelOnly = Awaited<ReturnType<typeof startModelOnly>>

async function next<T>(child: ChildProcess): Promise<T> {
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`the model-only process ended with code ${String(code)}`)
  })
  const [message] = (await Promise.race([once(child, 'message'), ended])) as [T]
  ended.catch(() => {})
  return message
}

/** Two batches are on their way at any time, so that the engine never waits for its next one. */
async function throughput(
  inference: Inference,
  { values, batchSize, forMs }: { values: number; batchSize: number; forMs: number }
): Promise<number> {
  const startedMs = performance.now()
  let images = 0
  await Promise.all(
    Array.from({ length: 2 }, async () => {
      while (performance.now() - startedMs < forMs) {
        await inference.infer(inference.allocate(batchSize * values).fill(0.5), batchSize)
        images += batchSize
      }
    })
  )
  return (images * 1_000) / (performance.now() - startedMs)
}

async function latency(inference: Inference, { values, forMs }: { values: number; forMs: number }): Promise<number> {
  const startedMs = performance.now()
  const times: number[] = []
  while (performance.now() - startedMs < forMs) {
    const input = inference.allocate(values).fill(0.5)
    const beforeMs = performance.now()
    await inference.infer(input, 1)
    times.push(performance.now() - beforeMs)
  }
  return median(times)
}

async function main([modelsDir = '', name = '', threads = '1', batch = '1']: string[]): Promise<void> {
  const model = await openModel(modelsDir, name)
  const { width, height } = model.manifest.input
  const values = width * height * 3
  const inference = await startInference({ model, choice: 'auto', threads: Number(threads) })
  const batchSize = Number(batch)
  // The first run of a size allocates.
  for (const size of [1, batchSize]) await inference.infer(inference.allocate(size * values), size)
  process.on('message', async ({ what, forMs }: Question) => {
    process.send?.({
      value:
        what === 'throughput'
          ? await throughput(inference, { values, batchSize, forMs })
          : await latency(inference, { values, forMs })
    })
  })
  process.send?.({ engine: inference.name })
}

if (process.send !== undefined && process.argv[1] === fileURLToPath(import.meta.url)) await main(process.argv.slice(2))

import { parentPort, workerData } from 'node:worker_threads'
import { ModelError } from '../store/error.ts'
import { inspect, type InspectOptions } from './inspect.ts'
import type { Inspected } from './inspected.ts'

/** `fault`: what is wrong with the file, for a person. `crash`: an error that no reader expected. */
export type Inspection = { inspected: Inspected } | { fault: string } | { crash: string }

/** What crosses from the thread is moved and not copied: converted weights are as large as the model. */
async function main(): Promise<void> {
  const { path, options } = workerData as { path: string; options: InspectOptions }
  try {
    const inspected = await inspect(path, options)
    parentPort?.postMessage({ inspected } satisfies Inspection, buffersOf(inspected))
  } catch (error) {
    const answer: Inspection =
      error instanceof ModelError
        ? { fault: error.message }
        : { crash: error instanceof Error ? error.message : String(error) }
    parentPort?.postMessage(answer)
  }
}

function buffersOf({ artifacts }: Inspected): ArrayBuffer[] {
  const contents = artifacts.flatMap(({ files }) => files.flatMap(file => ('content' in file ? [file.content] : [])))
  const buffers = contents.flatMap(content =>
    typeof content !== 'string' && content.buffer instanceof ArrayBuffer ? [content.buffer] : []
  )
  return [...new Set(buffers)]
}

await main()

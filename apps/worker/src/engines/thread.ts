import { parentPort, workerData } from 'node:worker_threads'
import type { Artifact, Model } from '@streamsight/models'
import type { BatchSizes, EngineName } from '../engine.ts'
import { chooseEngine, type ChooseOptions, type Rejected } from './choose.ts'

/** What crosses between the worker's main thread and the engine's. Buffers are transferred, never copied; that of the input goes back. */
export type Request = { type: 'infer' } & Batch | { type: 'close' }
export type Reply =
  | { type: 'ready', name: EngineName, layout: Artifact['layout'], batchSizes: BatchSizes, rejected: Rejected[] }
  | { type: 'unavailable', reason: string }
  | { type: 'scores', id: number, scores: Float32Array<ArrayBuffer>, input: Float32Array<ArrayBuffer> }
  | { type: 'failed', id: number, reason: string }
  | { type: 'closed' }

interface Batch { id: number, input: Float32Array<ArrayBuffer>, batchSize: number }

export type ThreadData = ChooseOptions & { model: Model }

/** The thread in which the engine blocks, so that the worker's event loop does not. */
async function main (): Promise<void> {
  const port = parentPort
  if (port === null) throw new Error('runs only as a worker thread')
  const post = (reply: Reply, transfer: ArrayBuffer[] = []) => port.postMessage(reply, transfer)

  try {
    const { engine, name, artifact, rejected } = await chooseEngine(workerData as ThreadData)
    const answer = async ({ id, input, batchSize }: Batch): Promise<void> => {
      try {
        const scores = new Float32Array(await engine.run(input, batchSize))
        post({ type: 'scores', id, scores, input }, [scores.buffer, input.buffer])
      } catch (error) {
        post({ type: 'failed', id, reason: String(error) })
      }
    }
    const close = async (): Promise<void> => {
      await engine.close().finally(() => post({ type: 'closed' }))
    }
    // One after another, as `Engine` wants it.
    let turn = Promise.resolve()
    port.on('message', (request: Request) => { turn = turn.then(() => request.type === 'infer' ? answer(request) : close()) })
    post({ type: 'ready', name, layout: artifact.layout, batchSizes: engine.batchSizes, rejected })
  } catch (error) {
    post({ type: 'unavailable', reason: (error as Error).message })
  }
}

await main()

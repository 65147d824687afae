import { parentPort, workerData } from 'node:worker_threads'
import { activationOf, type Artifact, type Manifest, type Model } from '@streamsight/models'
import type { BatchSizes } from './engine.ts'
import { chooseEngine, type ChooseOptions, type Chosen } from './choose.ts'

/**
 * What crosses between the worker's main thread and the engine's. The input is in memory that both see: to hand over megabytes with
 * each batch made V8 collect all garbage for every second image, because it counts them anew each time they arrive.
 */
export type Request = ({ type: 'infer' } & Batch) | { type: 'close' }
export type Reply =
  | Ready
  | { type: 'unavailable'; reason: string }
  | { type: 'scores'; id: number; scores: Float32Array<ArrayBuffer> }
  | { type: 'failed'; id: number; reason: string }
  | { type: 'closed' }

interface Ready extends Pick<Chosen, 'name' | 'precision' | 'precisionReason' | 'rejected'> {
  type: 'ready'
  layout: Artifact['layout']
  activation: Manifest['output']['activation']
  batchSizes: BatchSizes
}

interface Batch {
  id: number
  input: Float32Array
  batchSize: number
}

export type ThreadData = ChooseOptions & { model: Model }

/** The thread in which the engine blocks, so that the worker's event loop does not. */
async function main(): Promise<void> {
  const port = parentPort
  if (port === null) throw new Error('runs only as a worker thread')
  const post = (reply: Reply, transfer: ArrayBuffer[] = []) => port.postMessage(reply, transfer)

  try {
    const options = workerData as ThreadData
    const { engine, artifact, ...said } = await chooseEngine(options)
    const activation = activationOf(options.model.manifest, artifact)
    const own = createOwn()
    const answer = async ({ id, input, batchSize }: Batch): Promise<void> => {
      try {
        const scores = new Float32Array(await engine.run(own(input), batchSize))
        post({ type: 'scores', id, scores }, [scores.buffer])
      } catch (error) {
        post({ type: 'failed', id, reason: String(error) })
      }
    }
    const close = async (): Promise<void> => {
      await engine.close().finally(() => post({ type: 'closed' }))
    }
    // One after another, as `Engine` wants it.
    let turn = Promise.resolve()
    port.on('message', (request: Request) => {
      turn = turn.then(() => (request.type === 'infer' ? answer(request) : close()))
    })
    post({ type: 'ready', layout: artifact.layout, activation, batchSizes: engine.batchSizes, ...said })
  } catch (error) {
    post({ type: 'unavailable', reason: (error as Error).message })
  }
}

/** A copy in memory that is used again and again: ONNX Runtime takes none that is shared. It costs 0.04 ms an image of 224 × 224. */
function createOwn() {
  let memory = new Float32Array(0)
  return (values: Float32Array): Float32Array => {
    if (memory.length < values.length) memory = new Float32Array(values.length)
    const copy = memory.subarray(0, values.length)
    copy.set(values)
    return copy
  }
}

await main()

import { Worker } from 'node:worker_threads'
import type { ChooseOptions } from './choose.ts'
import type { Reply, Request } from './thread.ts'

type Ready = Extract<Reply, { type: 'ready' }>

/** The engine in its thread, seen from the worker's main thread. */
export interface Inference extends Omit<Ready, 'type'> {
  /**
   * Room for a batch that the engine's thread sees, of an earlier one where that is large enough; what it holds is undefined.
   * New memory for each batch, 0.6 MB an image, would keep the garbage collector and the kernel busy for 0.3 ms an image.
   */
  allocate: (floats: number) => Float32Array
  /** Scores of a batch, `batchSize` × classes. `input` is from `allocate`, and belongs to the next batch once it is answered; any other is copied. */
  infer: (input: Float32Array, batchSize: number) => Promise<Float32Array>
  /** Answers the batches that its thread has, and ends it. */
  close: () => Promise<void>
}

/** One batch is on the engine while the next is written. */
const spares = 2

export interface ThreadOptions {
  /** The thread's program: the engine, unless a test breaks it. */
  script?: URL
}

/**
 * Loads the model in a thread of its own. Rejects with the engines' reasons if none can run it. A thread that dies fails the
 * batches it had; the next batch gets a new thread.
 */
export async function startInference(options: ChooseOptions, threadOptions: ThreadOptions = {}): Promise<Inference> {
  let thread = await startThread(options, threadOptions)
  let starting: Promise<EngineThread> | undefined
  const spare: SharedArrayBuffer[] = []
  let closed = false
  const { type: _, ...ready } = thread.ready

  return {
    ...ready,
    allocate(floats) {
      const fits = spare.findIndex(({ byteLength }) => byteLength >= 4 * floats)
      const [buffer = new SharedArrayBuffer(4 * floats)] = fits === -1 ? [] : spare.splice(fits, 1)
      return new Float32Array(buffer, 0, floats)
    },
    async infer(input, batchSize) {
      if (closed) throw new Error('the engine is closed')
      const living = thread.isDead() ? await restart() : thread
      const scores = await living.infer(input, batchSize)
      // That of a batch which failed is not kept: it would be what the next one is padded with.
      keep(input)
      return scores
    },
    async close() {
      closed = true
      await starting?.catch(() => {})
      await thread.close()
    }
  }

  function keep({ buffer }: Float32Array): void {
    // Twice in the pool it would be two batches at once.
    if (buffer instanceof SharedArrayBuffer && !spare.includes(buffer)) spare.push(buffer)
    spare.splice(0, spare.length - spares)
  }

  /** A new thread for the dead one; the same for all who ask while it starts. */
  async function restart(): Promise<EngineThread> {
    starting ??= startThread(options, threadOptions).finally(() => {
      starting = undefined
    })
    thread = await starting
    if (closed) throw new Error('the engine is closed')
    return thread
  }
}

type EngineThread = Awaited<ReturnType<typeof startThread>>

async function startThread(
  options: ChooseOptions,
  { script = new URL('./thread.js', import.meta.url) }: ThreadOptions
) {
  const worker = new Worker(script, { workerData: options })
  const post = (request: Request) => worker.postMessage(request)
  const ended = new Promise<void>(resolve => worker.once('exit', () => resolve()))
  const waiting = new Map<number, { resolve: (scores: Float32Array) => void; reject: (error: Error) => void }>()
  let nextId = 0
  let dead = false

  const ready = await new Promise<Ready>((resolve, reject) => {
    worker.on('message', (reply: Reply) => {
      switch (reply.type) {
        case 'ready':
          return resolve(reply)
        // A library's own threads and handles would keep it.
        case 'closed':
          return void worker.terminate()
        case 'unavailable':
          void worker.terminate()
          return reject(new Error(reply.reason))
        case 'scores':
          return settle(reply.id)?.resolve(reply.scores)
        case 'failed':
          return settle(reply.id)?.reject(new Error(reply.reason))
      }
    })
    const die = (reason: string) => {
      dead = true
      const error = new Error(reason)
      reject(error)
      for (const { reject: fail } of waiting.values()) fail(error)
      waiting.clear()
    }
    worker.on('error', error => die(`the engine's thread failed: ${String(error)}`))
    worker.on('exit', code => die(`the engine's thread ended with code ${code}`))
  })

  return {
    ready,
    isDead: () => dead,
    infer(input: Float32Array, batchSize: number): Promise<Float32Array> {
      return new Promise((resolve, reject) => {
        // A message to a thread that has ended is lost without a word.
        if (dead) return reject(new Error('the engine’s thread has ended'))
        const id = nextId++
        waiting.set(id, { resolve, reject })
        post({ type: 'infer', id, input, batchSize })
      })
    },
    /** Asked first, and only then terminated: ONNX Runtime takes the process down if its thread is gone as a batch comes back. */
    async close(): Promise<void> {
      post({ type: 'close' })
      await ended
    }
  }

  function settle(id: number) {
    const entry = waiting.get(id)
    waiting.delete(id)
    return entry
  }
}

import { Worker } from 'node:worker_threads'
import type { ChooseOptions } from './choose.ts'
import type { Reply } from './thread.ts'

type Ready = Extract<Reply, { type: 'ready' }>

/** The engine in its thread, seen from the worker's main thread. */
export interface Inference extends Pick<Ready, 'name' | 'layout' | 'rejected'> {
  /** Scores of a batch, `batchSize` × classes. `input` is gone afterwards: its buffer moves to the engine's thread. */
  infer: (input: Float32Array<ArrayBuffer>, batchSize: number) => Promise<Float32Array>
  close: () => Promise<void>
}

/**
 * Loads the model in a thread of its own. Rejects with the engines' reasons if none can run it. A thread that dies fails
 * the batch it had; the next batch gets a new thread.
 */
export async function startInference (options: ChooseOptions): Promise<Inference> {
  let thread = await startThread(options)
  const { name, layout, rejected } = thread.ready
  let closed = false

  return {
    name,
    layout,
    rejected,
    async infer (input, batchSize) {
      if (closed) throw new Error('the engine is closed')
      // A buffer that has moved already would arrive as nothing, and never be answered.
      if (input.length === 0) throw new Error('the batch is empty, or was sent before')
      if (thread.isDead()) thread = await startThread(options)
      return await thread.infer(input, batchSize)
    },
    async close () {
      closed = true
      await thread.close()
    }
  }
}

async function startThread (options: ChooseOptions) {
  const worker = new Worker(new URL('./thread.js', import.meta.url), { workerData: options })
  const waiting = new Map<number, { resolve: (scores: Float32Array) => void, reject: (error: Error) => void }>()
  let nextId = 0
  let dead = false

  const ready = await new Promise<Ready>((resolve, reject) => {
    worker.on('message', (reply: Reply) => {
      switch (reply.type) {
        case 'ready': return resolve(reply)
        case 'unavailable': return reject(new Error(reply.reason))
        case 'scores': return settle(reply.id)?.resolve(reply.scores)
        case 'failed': return settle(reply.id)?.reject(new Error(reply.reason))
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
  }).catch(async (error: unknown) => {
    await worker.terminate()
    throw error
  })

  return {
    ready,
    isDead: () => dead,
    infer (input: Float32Array<ArrayBuffer>, batchSize: number): Promise<Float32Array> {
      return new Promise((resolve, reject) => {
        const id = nextId++
        waiting.set(id, { resolve, reject })
        worker.postMessage({ id, input, batchSize }, [input.buffer])
      })
    },
    async close (): Promise<void> { await worker.terminate() }
  }

  function settle (id: number) {
    const entry = waiting.get(id)
    waiting.delete(id)
    return entry
  }
}

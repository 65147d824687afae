import { Piscina, transferableSymbol, valueSymbol } from 'piscina'
import { DecodeError, decodeTimeoutMs, type Raster } from './decoder.ts'
import type { Target } from './shrink.ts'

/** What a thread is asked. */
export interface Task {
  bytes: Uint8Array
  target: Target
}

/** What a thread answers; errors lose their fields between threads. */
export type Answer = { raster: Raster } | { message: string }

/** The answer of a thread, whose pixels move to who asked instead of being copied. */
export function handOver(raster: Raster): Answer {
  const answer = { raster }
  return Object.assign(answer, { [transferableSymbol]: [raster.data.buffer], [valueSymbol]: answer })
}

export interface ThreadedDecoderOptions {
  name: string
  /** The module that decodes, beside this one. */
  filename: string
  /** Pictures are handed over about twice as large as they are to be. */
  target: Target
}

/** Decodes in a thread of its own what is slow in JavaScript or WebAssembly and would hold up the worker's other images. */
export function createThreadedDecoder({ name, filename, target }: ThreadedDecoderOptions) {
  const pool = new Piscina<Task, Answer>({
    filename: new URL(filename, import.meta.url).href,
    minThreads: 0,
    maxThreads: 2,
    // WebAssembly's memory and what V8 has not collected yet go back with the thread.
    idleTimeout: 1_000
  })

  return {
    name,

    /** Rejects with a DecodeError. A thread that does not come to an end is stopped. */
    async decode(image: Buffer): Promise<Raster> {
      // A copy, because the buffer moves to the thread and this one is part of a larger reply.
      const bytes = new Uint8Array(image)
      const signal = AbortSignal.timeout(decodeTimeoutMs)
      const answer = await pool
        .run({ bytes, target }, { transferList: [bytes.buffer], signal })
        .catch((cause: unknown) => {
          const reason = signal.aborted ? `was not decoded within ${decodeTimeoutMs / 1_000} s` : 'could not be decoded'
          throw new DecodeError('INFERENCE_FAILED', `The image ${reason}`, { cause })
        })
      if ('message' in answer) throw new DecodeError('UNDECODABLE_IMAGE', answer.message)
      return answer.raster
    },

    close: (): Promise<void> => pool.destroy()
  }
}

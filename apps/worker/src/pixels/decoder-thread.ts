import { Piscina, transferableSymbol, valueSymbol } from 'piscina'
import { DecodeError, decodeTimeoutMs, type Raster } from './decoder.ts'

/** What a thread answers; errors lose their fields between threads. */
export type Answer = { raster: Raster } | { message: string }

/** The answer of a thread, whose pixels move to who asked instead of being copied. */
export function handOver(raster: Raster): Answer {
  const answer = { raster }
  return Object.assign(answer, { [transferableSymbol]: [raster.data.buffer], [valueSymbol]: answer })
}

/** Decodes in a thread of its own what is slow in JavaScript or WebAssembly and would hold up the worker's other images. */
export function createThreadedDecoder(name: string, filename: string) {
  const pool = new Piscina<Uint8Array, Answer>({
    filename: new URL(filename, import.meta.url).href,
    minThreads: 0,
    maxThreads: 2,
    idleTimeout: 30_000
  })

  return {
    name,

    /** Rejects with a DecodeError. A thread that does not come to an end is stopped. */
    async decode(image: Buffer): Promise<Raster> {
      // A copy, because the buffer moves to the thread and this one is part of a larger reply.
      const bytes = new Uint8Array(image)
      const signal = AbortSignal.timeout(decodeTimeoutMs)
      const answer = await pool.run(bytes, { transferList: [bytes.buffer], signal }).catch((cause: unknown) => {
        const reason = signal.aborted ? `was not decoded within ${decodeTimeoutMs / 1_000} s` : 'could not be decoded'
        throw new DecodeError('INFERENCE_FAILED', `The image ${reason}`, { cause })
      })
      if ('message' in answer) throw new DecodeError('UNDECODABLE_IMAGE', answer.message)
      return answer.raster
    },

    close: (): Promise<void> => pool.destroy()
  }
}

import { Piscina } from 'piscina'
import { withinBudget } from './budget.ts'
import { DecodeError, type Decoder, type DecoderOptions } from './decoder.ts'
import { isPortable } from './header.ts'
import type { Decoded, Task } from './jimp-thread.ts'

/** jimp, in threads of its own: it is plain JavaScript, and a 12-megapixel picture takes it a second. */
export function createJimpDecoder({ input, maxPixels }: DecoderOptions): Decoder {
  const pool = new Piscina<Task, Decoded>({
    filename: new URL('./jimp-thread.js', import.meta.url).href,
    minThreads: 0,
    maxThreads: 2,
    idleTimeout: 30_000
  })

  return {
    name: 'jimp',
    async decode(image, type) {
      if (!isPortable(type))
        throw new DecodeError('UNSUPPORTED_IMAGE', `This server is set up without a ${type} decoder`)
      // A copy, because the buffer moves to the thread and this one is part of a larger reply.
      const bytes = new Uint8Array(image)
      const decoded = await withinBudget(
        async signal => await pool.run({ bytes, type, input, maxPixels }, { transferList: [bytes.buffer], signal })
      )
      if ('code' in decoded) throw new DecodeError(decoded.code, decoded.message)
      return decoded.rgb
    },
    close: () => pool.destroy()
  }
}

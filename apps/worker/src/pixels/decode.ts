import type { Decoder, DecoderOptions } from './decoder.ts'
import { createJimpDecoder } from './jimp.ts'
import { createLibvipsDecoder } from './libvips.ts'

/** libvips where its native binary is installed, and jimp for what libvips can't read (BMP) and where it is missing. */
export async function createDecoder (options: DecoderOptions): Promise<Decoder> {
  const portable = createJimpDecoder(options)
  const fast = await createLibvipsDecoder(options)
  if (fast === undefined) return portable

  return {
    name: `${fast.name}+${portable.name}`,
    decode: (image, type) => (type === 'bmp' ? portable : fast).decode(image, type),
    close: () => portable.close()
  }
}

import { DecodeError, type Decoder, type DecoderOptions } from './decoder.ts'
import { createJimpDecoder } from './jimp.ts'
import { createLibvipsDecoder } from './libvips.ts'

/** libvips where its native binary is installed, and jimp for what libvips can't read (BMP, some TIFF) and where it is missing. */
export async function createDecoder (options: DecoderOptions): Promise<Decoder> {
  const portable = createJimpDecoder(options)
  const fast = await createLibvipsDecoder(options)
  if (fast === undefined) return portable

  return {
    name: `${fast.name}+${portable.name}`,
    decode: (image, type) => type === 'bmp' ? portable.decode(image, type) : fast.decode(image, type).catch((error: unknown) => {
      if (error instanceof DecodeError && error.code === 'UNSUPPORTED_IMAGE') return portable.decode(image, type)
      throw error
    }),
    close: () => portable.close()
  }
}

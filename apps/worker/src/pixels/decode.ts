import type { ImageFormat } from '@streamsight/images'
import { DecodeError, type Decoder, type DecoderOptions } from './decoder.ts'
import { createJimpDecoder } from './jimp.ts'
import { createLibvipsDecoder } from './libvips.ts'
import { isOwnKind } from './tiff-decode.ts'

/** libvips where its native binary is installed, and jimp for what libvips can't read (BMP, some TIFF) and where it is missing. */
export async function createDecoder(options: DecoderOptions): Promise<Decoder> {
  const portable = createJimpDecoder(options)
  const fast = await createLibvipsDecoder(options)
  if (fast === undefined) return portable

  return {
    name: `${fast.name}+${portable.name}`,
    decode: (image, type) =>
      type === 'bmp'
        ? portable.decode(image, type)
        : fast.decode(image, type).catch((error: unknown) => retry(image, type, error)),
    close: () => portable.close()
  }

  /** Not with the library behind the portable decoder: what libvips leaves out of its kinds of TIFF sends that in circles. */
  async function retry(image: Buffer, type: ImageFormat, error: unknown): Promise<Uint8Array> {
    if (!(error instanceof DecodeError) || error.code !== 'UNSUPPORTED_IMAGE') throw error
    if (type === 'tiff' && isOwnKind(image)) return await portable.decode(image, type)
    throw new DecodeError('UNDECODABLE_IMAGE', error.message)
  }
}

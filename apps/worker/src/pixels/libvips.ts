import { DecodeError, decodeTimeoutMs, type Decoder, type DecoderOptions } from './decoder.ts'
import { frameOf } from './frame.ts'

/** libvips through sharp: native, on threads of its own. Undefined where its binary is not installed. */
export async function createLibvipsDecoder ({ input, maxPixels }: DecoderOptions): Promise<Decoder | undefined> {
  const sharp = await importSharp()
  if (sharp === undefined) return undefined

  // Every picture is another one: a cache would only hold memory. One thread a picture: pictures run side by side already.
  sharp.cache(false)
  sharp.concurrency(1)
  // Decoders for exotic formats are attack surface that nobody asked for.
  sharp.block({ operation: ['VipsForeignLoad'] })
  sharp.unblock({
    operation: [
      'VipsForeignLoadJpegBuffer', 'VipsForeignLoadPngBuffer', 'VipsForeignLoadWebpBuffer',
      'VipsForeignLoadNsgifBuffer', 'VipsForeignLoadHeifBuffer', 'VipsForeignLoadTiffBuffer'
    ]
  })

  return {
    name: 'libvips',
    async decode (image, type) {
      try {
        const { scaled, left, top } = frameOf((await sharp(image).metadata()).autoOrient, input)
        // A colour profile is ignored, as by the libraries models are trained with and by jimp.
        return await sharp(image, { failOn: 'error', limitInputPixels: maxPixels, sequentialRead: true, pages: 1, ignoreIcc: true })
          .timeout({ seconds: decodeTimeoutMs / 1_000 })
          .autoOrient()
          .flatten({ background: '#ffffff' })
          // By default the JPEG decoder averages all but the last factor of 1 to 2, whatever kernel the model wants.
          .resize({ ...scaled, fit: 'fill', kernel: input.kernel, fastShrinkOnLoad: type !== 'jpeg' })
          .extract({ left, top, width: input.width, height: input.height })
          .toColourspace('srgb')
          .raw()
          .toBuffer()
      } catch (error) {
        throw toDecodeError(error as Error, maxPixels)
      }
    },
    async close () {}
  }
}

async function importSharp () {
  try {
    return (await import('sharp')).default
  } catch {
    return undefined
  }
}

function toDecodeError ({ message }: Error, maxPixels: number): DecodeError {
  if (/exceeds pixel limit/i.test(message)) return new DecodeError('TOO_MANY_PIXELS', `The image has more than ${maxPixels} pixels`)
  if (/timeout/i.test(message)) return new DecodeError('UNDECODABLE_IMAGE', `The image took longer than ${decodeTimeoutMs / 1_000} s to decode`)
  return new DecodeError('UNDECODABLE_IMAGE', 'The image is truncated or corrupt')
}

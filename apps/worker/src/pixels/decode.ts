import { firstFrame, type FirstFrame, type ImageFormat } from '@streamsight/images'
import type { Input } from '@streamsight/models'
import { asDecodeError, DecodeError, type Decoder, type Raster } from './decoder.ts'
import { createHeicDecoder } from './heic.ts'
import { createBmpDecoder } from './jimp.ts'
import { createLibvips, type Source } from './libvips.ts'

/**
 * The one path: the first frame alone, to libvips. What libvips' builds leave out is decoded by another library in a thread of its own,
 * BMP by jimp and HEIC by libheif, and goes on from there as raw pixels.
 */
export async function createDecoder(input: Input): Promise<Decoder> {
  const libvips = await createLibvips(input)
  const { width, height, fit, cropFraction, kernel } = input
  const target = { width, height, fit, cropFraction, kernel }
  const [bmp, heic] = [createBmpDecoder(target), createHeicDecoder(target)]

  return {
    name: ['libvips', bmp.name, ...(heic ? [heic.name] : [])].join('+'),

    async decode(image, format) {
      const frame = asDecodeError(() => firstFrame(image, format))
      return await libvips.toInput(await sourceOf(frame, format))
    },

    async close() {
      await Promise.all([bmp.close(), heic?.close()])
    }
  }

  async function sourceOf(frame: FirstFrame, format: ImageFormat): Promise<Source> {
    const raster = await rasterOf(frame.bytes, format)
    return raster === undefined
      ? { kind: 'file', format, ...frame }
      : { kind: 'raster', raster, profile: frame.profile }
  }

  async function rasterOf(bytes: Buffer, format: ImageFormat): Promise<Raster | undefined> {
    if (format === 'bmp') return await bmp.decode(bytes)
    if (format !== 'heic') return undefined
    if (heic !== undefined) return await heic.decode(bytes)
    throw new DecodeError(
      'UNSUPPORTED_IMAGE',
      'This server does not decode HEIC: send JPEG, or install the package libheif-js beside the worker'
    )
  }
}

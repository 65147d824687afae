import { Jimp } from 'jimp'
import type { Input } from '@streamsight/models'
import type { FailureCode, ImageType } from '@streamsight/protocol'
import { pixelsInHeader } from './header.ts'
import { resample } from './resample.ts'

export interface Task { bytes: Uint8Array<ArrayBuffer>, type: ImageType, input: Input, maxPixels: number }

export type Decoded = { rgb: Uint8Array } | { code: FailureCode, message: string }

/** What jpeg-js counts for a pixel is at most 22 bytes; its own limit would refuse honest pictures of 30 megapixels. */
const jpegBytesPerPixel = 24

/** One image from bytes to the model's size. Returns what is wrong with it instead of throwing: errors lose their fields between threads. */
export default async function decode ({ bytes, type, input, maxPixels }: Task): Promise<Decoded> {
  const image = Buffer.from(bytes.buffer)
  try {
    if (pixelsInHeader(image, type) > maxPixels) return tooManyPixels(maxPixels)
    // jimp turns the picture upright itself, by its EXIF orientation.
    const { bitmap } = await Jimp.fromBuffer(image, {
      'image/jpeg': {
        maxResolutionInMP: maxPixels / 1e6,
        maxMemoryUsageInMB: 1 + jpegBytesPerPixel * maxPixels / 2 ** 20,
        tolerantDecoding: false
      }
    })
    const rgba = new Uint8ClampedArray(bitmap.data.buffer, bitmap.data.byteOffset, bitmap.data.length)
    return { rgb: resample({ rgba, width: bitmap.width, height: bitmap.height }, type, input) }
  } catch (error) {
    if (/maxResolutionInMP/.test((error as Error).message)) return tooManyPixels(maxPixels)
    return { code: 'UNDECODABLE_IMAGE', message: `The ${type} image is truncated or corrupt` }
  }
}

function tooManyPixels (maxPixels: number): Decoded {
  return { code: 'TOO_MANY_PIXELS', message: `The image has more than ${maxPixels} pixels` }
}

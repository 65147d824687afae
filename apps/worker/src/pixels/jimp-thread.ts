import { Jimp } from 'jimp'
import type { Input } from '@streamsight/models'
import type { FailureCode, ImageType } from '@streamsight/protocol'
import { resample } from './resample.ts'

export interface Task { bytes: Uint8Array<ArrayBuffer>, type: ImageType, input: Input, maxPixels: number }

export type Decoded = { rgb: Uint8Array } | { code: FailureCode, message: string }

/** One image from bytes to the model's size. Returns what is wrong with it instead of throwing: errors lose their fields between threads. */
export default async function decode ({ bytes, type, input, maxPixels }: Task): Promise<Decoded> {
  try {
    // jimp turns the picture upright itself, by its EXIF orientation.
    const { bitmap } = await Jimp.fromBuffer(Buffer.from(bytes.buffer), {
      'image/jpeg': { maxResolutionInMP: maxPixels / 1e6, tolerantDecoding: false }
    })
    return { rgb: resample({ rgba: bitmap.data, width: bitmap.width, height: bitmap.height }, input) }
  } catch {
    return { code: 'UNDECODABLE_IMAGE', message: `The ${type} image is truncated or corrupt` }
  }
}

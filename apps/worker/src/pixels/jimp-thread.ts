import { Jimp } from 'jimp'
import type { Input } from '@streamsight/models'
import type { FailureCode } from '@streamsight/protocol'
import { decodeBmp } from './bmp.ts'
import { createRecolour, type Recolour } from './colour.ts'
import { DecodeError } from './decoder.ts'
import { readHeader, type PortableType } from './header.ts'
import { withoutMetadata } from './jpeg.ts'
import { withoutAncillary } from './png.ts'
import { isSrgb, readProfile } from './profile.ts'
import { decodeTiff, isolatePage } from './tiff-decode.ts'
import { resample, type Bitmap } from './resample.ts'

export interface Task {
  bytes: Uint8Array<ArrayBuffer>
  type: PortableType
  input: Input
  maxPixels: number
}

export type Decoded = { rgb: Uint8Array } | { code: FailureCode; message: string }

/** What jpeg-js counts for a pixel is at most 22 bytes; its own limit would refuse honest pictures of 30 megapixels. */
const jpegBytesPerPixel = 24

/** One image from bytes to the model's size. Returns what is wrong with it instead of throwing: errors lose their fields between threads. */
export default async function decode({ bytes, type, input, maxPixels }: Task): Promise<Decoded> {
  const image = Buffer.from(bytes.buffer)
  try {
    const { pixels, orientation, profile, problem } = readHeader(image, type)
    if (problem !== undefined) return { code: 'UNDECODABLE_IMAGE', message: problem }
    if (pixels > maxPixels) return { code: 'TOO_MANY_PIXELS', message: `The image has more than ${maxPixels} pixels` }
    const bitmap = await decoders[type](image, maxPixels)
    return { rgb: resample({ ...bitmap, orientation, recolour: recolourOf(profile) }, type, input) }
  } catch (error) {
    if (error instanceof DecodeError) return { code: error.code, message: error.message }
    return { code: 'UNDECODABLE_IMAGE', message: `The ${type} image is truncated or corrupt` }
  }
}

const decoders: Record<PortableType, (image: Buffer, maxPixels: number) => Bitmap | Promise<Bitmap>> = {
  jpeg: (image, maxPixels) => decodeWithJimp(withoutMetadata(image), maxPixels),
  png: (image, maxPixels) => decodeWithJimp(withoutAncillary(image), maxPixels),
  gif: decodeWithJimp,
  tiff: (image, maxPixels) => decodeTiff(image) ?? decodeWithJimp(isolatePage(image), maxPixels),
  bmp: decodeBmp
}

async function decodeWithJimp(image: Buffer, maxPixels: number): Promise<Bitmap> {
  const {
    bitmap: { data, width, height }
  } = await Jimp.fromBuffer(image, {
    'image/jpeg': {
      maxResolutionInMP: maxPixels / 1e6,
      maxMemoryUsageInMB: 1 + (jpegBytesPerPixel * maxPixels) / 2 ** 20,
      tolerantDecoding: false
    }
  })
  return { width, height, rgba: clamped(data) }
}

/** jimp's bytes lie in a buffer of their own but for small ones, which may begin where no word does. */
function clamped({ buffer, byteOffset, length }: Uint8Array): Uint8ClampedArray<ArrayBuffer> {
  const bytes = new Uint8ClampedArray(buffer as ArrayBuffer, byteOffset, length)
  return byteOffset % 4 === 0 ? bytes : new Uint8ClampedArray(bytes)
}

/** None for a picture that is sRGB already, or whose profile can't be read. */
function recolourOf(icc: Buffer | undefined): Recolour | undefined {
  const profile = icc === undefined ? undefined : readProfile(icc)
  return profile === undefined || isSrgb(profile) ? undefined : createRecolour(profile)
}

import type sharpModule from 'sharp'
import type { ImageFormat } from '@streamsight/images'
import { withinBudget } from './budget.ts'
import { DecodeError, decodeTimeoutMs, type Decoder, type DecoderOptions } from './decoder.ts'
import { frameOf, type Size } from './frame.ts'
import { jpegProblem, readJpeg, type JpegHeader } from './jpeg.ts'
import { isSrgb, readProfile } from './profile.ts'

type Sharp = typeof sharpModule

/** What libvips has to know before it decodes a picture. */
interface Facts {
  upright: Size
  profile?: Buffer | undefined
  /** 16 bits a channel, in colour. */
  isDeep: boolean
}

/** libvips through sharp: native, on threads of its own. Undefined where its binary is not installed. */
export async function createLibvipsDecoder({ input, maxPixels }: DecoderOptions): Promise<Decoder | undefined> {
  const sharp = await importSharp()
  return sharp === undefined ? undefined : decoderWith(sharp, { input, maxPixels })
}

function decoderWith(sharp: Sharp, { input, maxPixels }: DecoderOptions): Decoder {
  prepare(sharp)

  return {
    name: 'libvips',
    async decode(image, type) {
      try {
        // libvips can't be stopped everywhere. What is given up ends by itself, with a result that nobody takes.
        return await withinBudget(() => decode(type === 'avif' ? asAvif(image) : image, type))
      } catch (error) {
        throw error instanceof DecodeError ? error : toDecodeError(error as Error, { type, maxPixels })
      }
    },
    async close() {}
  }

  async function decode(image: Buffer, type: ImageFormat): Promise<Buffer> {
    const { upright, profile, isDeep } = await factsOf(sharp, image, type)
    const { scaled, left, top } = frameOf(upright, input)
    const isForeign = profile !== undefined && !meansSrgb(profile)
    const pixels = sharp(image, {
      failOn: 'error',
      limitInputPixels: maxPixels,
      sequentialRead: true,
      pages: 1,
      ignoreIcc: !isForeign
    })
      .timeout({ seconds: decodeTimeoutMs / 1_000 })
      .autoOrient()
      .flatten({ background: '#ffffff' })
      // By default the JPEG decoder averages all but the last factor of 1 to 2, whatever kernel the model wants.
      .resize({ ...scaled, fit: 'fill', kernel: input.kernel, fastShrinkOnLoad: type !== 'jpeg' })
      .extract({ left, top, width: input.width, height: input.height })
      .toColourspace('srgb')
    // sharp brings 16 bits to Display P3 instead of sRGB, and the rest of the way only if it is told to.
    return await (isForeign && isDeep ? pixels.withIccProfile('srgb') : pixels).raw().toBuffer()
  }
}

async function importSharp(): Promise<Sharp | undefined> {
  try {
    return (await import('sharp')).default
  } catch {
    return undefined
  }
}

function prepare(sharp: Sharp): void {
  // Every picture is another one: a cache would only hold memory. One thread a picture: pictures run side by side already.
  sharp.cache(false)
  sharp.concurrency(1)
  // Decoders for exotic formats are attack surface that nobody asked for.
  sharp.block({ operation: ['VipsForeignLoad'] })
  sharp.unblock({
    operation: [
      'VipsForeignLoadJpegBuffer',
      'VipsForeignLoadPngBuffer',
      'VipsForeignLoadWebpBuffer',
      'VipsForeignLoadNsgifBuffer',
      'VipsForeignLoadHeifBuffer',
      'VipsForeignLoadTiffBuffer'
    ]
  })
}

/** libvips is asked, which takes a trip to its threads, unless the header of a JPEG says all: most have no EXIF. */
async function factsOf(sharp: Sharp, image: Buffer, type: ImageFormat): Promise<Facts> {
  const jpeg = type === 'jpeg' ? tryJpeg(image) : undefined
  const problem = jpeg && jpegProblem(jpeg, { arithmetic: true })
  if (problem !== undefined) throw new DecodeError('UNDECODABLE_IMAGE', problem)
  if (jpeg !== undefined && jpeg.exif === undefined && jpeg.width * jpeg.height > 0)
    return { upright: jpeg, profile: jpeg.profile, isDeep: false }
  const { autoOrient, icc, depth, space } = await sharp(image, { failOn: 'error', pages: 1 }).metadata()
  return { upright: autoOrient, profile: icc, isDeep: depth === 'ushort' && space === 'rgb16' }
}

/** libvips reads around damage that this does not. */
function tryJpeg(image: Buffer): JpegHeader | undefined {
  try {
    return readJpeg(image)
  } catch {
    return undefined
  }
}

/** A transform to where the picture is already would double the time that a photo takes. */
function meansSrgb(icc: Buffer): boolean {
  const profile = readProfile(icc)
  return profile !== undefined && isSrgb(profile)
}

/** libvips knows an AVIF by its own brand alone: not a sequence (`avis`), and not one that puts a general brand (`mif1`) first. */
function asAvif(image: Buffer): Buffer {
  if (image.toString('latin1', 8, 12) === 'avif') return image
  const copy = Buffer.from(image)
  copy.write('avif', 8, 'latin1')
  return copy
}

/** Said of files that are whole, but of a kind that this build of libvips, or no build, reads. */
const unsupported = /tiff2vips: .*not (supported|configured)|bad labq format|not a whole number of bytes/i

function toDecodeError({ message }: Error, { type, maxPixels }: { type: ImageFormat; maxPixels: number }): DecodeError {
  if (/exceeds pixel limit/i.test(message))
    return new DecodeError('TOO_MANY_PIXELS', `The image has more than ${maxPixels} pixels`)
  if (/timeout/i.test(message))
    return new DecodeError('UNDECODABLE_IMAGE', `The image took longer than ${decodeTimeoutMs / 1_000} s to decode`)
  if (type === 'tiff' && unsupported.test(message))
    return new DecodeError('UNSUPPORTED_IMAGE', 'This kind of TIFF is not supported')
  return new DecodeError('UNDECODABLE_IMAGE', 'The image is truncated or corrupt')
}

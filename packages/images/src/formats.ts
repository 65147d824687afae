import { bmp } from './bmp.ts'
import { FormatError, type FirstFrame, type Format, type Measured } from './format.ts'
import { gif } from './gif.ts'
import { avif, heic } from './heif.ts'
import { jpeg } from './jpeg.ts'
import { png } from './png.ts'
import { tiff } from './tiff.ts'
import { webp } from './webp.ts'

/** The formats that are read, in the order in which the first bytes are compared: `heic` takes general brands that `avif` left. */
const formats = { jpeg, png, webp, gif, avif, heic, tiff, bmp } satisfies Record<string, Format>

export type ImageFormat = keyof typeof formats
export const imageFormats = Object.keys(formats) as ImageFormat[]

/** What the first bytes say an image is. The client's content type and file name are not asked. */
export function sniff(bytes: Buffer): ImageFormat | undefined {
  return imageFormats.find(format => formats[format].matches(bytes))
}

export function mediaTypeOf(format: ImageFormat): string {
  return formats[format].mediaType
}

/** What decoding would cost, from the header. Throws a FormatError if the image is cut short, broken, or of a kind nobody reads. */
export function measure(bytes: Buffer, format: ImageFormat): Measured {
  const measured = whole(format, () => formats[format].measure(bytes))
  if (measured.width * measured.height < 1) throw new FormatError(`The ${format} image has no pixels`)
  return measured
}

/** A row costs time and a column memory however short they are. No format's own reader takes more by default. */
const maxSide = 1_000_000

/**
 * Why an image of this size is refused, for the client; undefined if it is not. The parts that a picture is made of may add up to twice
 * its pixels: tiles overhang its edge, and transparency is a picture of its own.
 */
export function pixelFault({ width, height, decodedPixels }: Measured, maxPixels: number): string | undefined {
  if (width * height > maxPixels) return `The image has ${width} × ${height} pixels, more than ${maxPixels}`
  if (Math.max(width, height) > maxSide)
    return `The image has ${width} × ${height} pixels, and no side may have more than ${maxSide}`
  if (decodedPixels > 2 * maxPixels)
    return `The image is made of parts of ${decodedPixels} pixels together, more than twice ${maxPixels}`
  return undefined
}

/** The first frame or page as a file of its own. Throws a FormatError as `measure` does. */
export function firstFrame(bytes: Buffer, format: ImageFormat): FirstFrame {
  return whole(format, () => formats[format].firstFrame(bytes))
}

/** Reading beyond the end of a file is a RangeError of Buffer. */
function whole<Result>(format: ImageFormat, read: () => Result): Result {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw new FormatError(`The ${format} image is truncated or corrupt`, { cause: error })
  }
}

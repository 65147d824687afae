import { createSteps, FormatError, type Format, type FirstFrame, type Measured } from './format.ts'
import { isProgressive, readJpegHeader } from './jpeg.ts'
import { readDirectory, tags, valueOf, valuesOf, type Directory } from './tiff-directory.ts'
import { planesOf } from './tiff-planes.ts'

/** Those that libtiff reads in both builds of libvips. Of others, WebP in WebAssembly too, it makes black tiles without a word (8.18). */
const compressions: Record<number, string> = {
  1: 'none',
  2: 'CCITT RLE',
  3: 'fax group 3',
  4: 'fax group 4',
  5: 'LZW',
  7: 'JPEG',
  8: 'deflate',
  32773: 'PackBits',
  32946: 'deflate'
}

/** Kinds of colours, and how many samples a pixel has at least. */
const photometrics: Record<number, { name: string; samples: number }> = {
  0: { name: 'grey', samples: 1 },
  1: { name: 'grey', samples: 1 },
  2: { name: 'RGB', samples: 3 },
  3: { name: 'palette', samples: 1 },
  5: { name: 'CMYK', samples: 4 },
  6: { name: 'YCbCr', samples: 3 }
}

const ycbcr = 6
const jpegCompression = 7
const associatedAlpha = 1

/** Strips of a row each in a picture of 50 megapixels are some thousand. */
const mostPieces = 100_000

/** A tile of a small picture may be larger than it, but nobody needs one of gigabytes. */
const mostTilePixels = 2 ** 24

export const tiff: Format = {
  mediaType: 'image/tiff',
  matches: bytes => /^(II[*+]\0|MM\0[*+])/.test(bytes.toString('latin1', 0, 4)),

  measure(bytes) {
    const directory = readDirectory(bytes)
    assertSupported(directory)
    assertWhole(directory)
    return measurePieces(directory)
  },

  firstFrame(bytes) {
    const directory = readDirectory(bytes)
    const isYcbcr = valueOf(directory, tags.photometric, 1) === ycbcr && compressionOf(directory) !== jpegCompression
    const alone: FirstFrame = { bytes: withoutOtherPages(directory), ...(isYcbcr ? { isYcbcr } : {}) }
    if (!isTiledInPlanes(directory)) return alone
    const isPremultiplied = valueOf(directory, tags.extraSamples, 0) === associatedAlpha
    return { ...alone, planes: planesOf(directory), isPremultiplied }
  }
}

/** How a camera was held, as EXIF numbers it, 1 to 8; 1 (upright) where nothing readable says it. */
export function orientationOf(exif: Buffer | undefined): number {
  if (exif === undefined) return 1
  try {
    const orientation = valueOf(readDirectory(exif), tags.orientation, 1)
    return orientation >= 1 && orientation <= 8 ? orientation : 1
  } catch {
    // Broken metadata loses no picture: it is shown as it is stored.
    return 1
  }
}

/** Throws a FormatError that names what about the picture nobody here reads. */
function assertSupported(directory: Directory): void {
  const [photometric, compression] = [valueOf(directory, tags.photometric, -1), compressionOf(directory)]
  const [depth = 1, ...depths] = valuesOf(directory, tags.bitsPerSample)
  const samples = valueOf(directory, tags.samplesPerPixel, 1)
  const sampleFormat = valueOf(directory, tags.sampleFormat, 1)
  const colours = photometrics[photometric]
  if (colours === undefined) refuse(`colours of kind ${photometric}`)
  if (compressions[compression] === undefined) refuse(`compression ${compression}`)
  if (sampleFormat !== 1) refuse(sampleFormat === 2 ? 'signed samples' : 'floating-point or complex samples')
  const mayBeNarrow = samples === 1 || photometric === ycbcr
  if (![8, 16].includes(depth) && !(mayBeNarrow && [1, 2, 4].includes(depth))) refuse(`${depth} bits a sample`)
  if (depths.some(other => other !== depth)) refuse('channels of different depths')
  const extra = valuesOf(directory, tags.extraSamples).length
  if (samples < colours.samples || samples > colours.samples + 1 || samples - extra > colours.samples)
    refuse(`${samples} samples a pixel where ${colours.name} has ${colours.samples}`)
  if (photometric === ycbcr && compression !== jpegCompression && isSubsampled(directory))
    refuse('YCbCr colours of reduced resolution without JPEG')
  if (isTiledInPlanes(directory) && ![1, 2].includes(photometric)) refuse(`tiles of separate planes in ${colours.name}`)
}

/**
 * libtiff shows what is missing as black, and goes through all passes of a JPEG. Throws a FormatError if a strip or tile ends outside
 * of the file, or is made of passes.
 */
function assertWhole(directory: Directory): void {
  const isTiled = directory.entries.has(tags.tileWidth)
  const offsets = valuesOf(directory, isTiled ? tags.tileOffsets : tags.stripOffsets)
  const lengths = valuesOf(directory, isTiled ? tags.tileByteCounts : tags.stripByteCounts)
  if (offsets.length > mostPieces)
    throw new FormatError(`The TIFF has ${offsets.length} parts, which no honest file has`)
  const isCut = offsets.some((offset, i) => offset + (lengths[i] ?? 0) > directory.bytes.length)
  if (isCut) throw new FormatError('The tiff image is truncated or corrupt')
  if (compressionOf(directory) === jpegCompression) assertSequential(directory.bytes, new Set(offsets))
}

/** Segments before the pixels of all strips together. */
const mostSegments = 500_000

function assertSequential(bytes: Buffer, offsets: Set<number>): void {
  const step = createSteps('TIFF', mostSegments)
  for (const offset of offsets)
    if (isProgressive(readJpegHeader(bytes.subarray(offset), step))) refuse('progressive JPEG in it')
}

function refuse(what: string): never {
  throw new FormatError(`A TIFF with ${what} is not supported: save it with 8 or 16 bits a channel, LZW or deflate`)
}

function compressionOf(directory: Directory): number {
  return valueOf(directory, tags.compression, 1)
}

/** 2 × 2 where the file does not say. */
function isSubsampled(directory: Directory): boolean {
  const [across = 2, down = 2] = valuesOf(directory, tags.chromaSubsampling)
  return across !== 1 || down !== 1
}

function isTiledInPlanes(directory: Directory): boolean {
  const isPlanar =
    valueOf(directory, tags.planarConfiguration, 1) === 2 && valueOf(directory, tags.samplesPerPixel, 1) > 1
  return isPlanar && directory.entries.has(tags.tileWidth)
}

function measurePieces(directory: Directory): Measured {
  const [width, height] = [valueOf(directory, tags.width, 0), valueOf(directory, tags.height, 0)]
  const isTiled = directory.entries.has(tags.tileWidth)
  if (!isTiled) return { width, height, decodedPixels: width * height, isBuffered: false }
  const [tileWidth, tileHeight] = [valueOf(directory, tags.tileWidth, 0), valueOf(directory, tags.tileHeight, 0)]
  const tilePixels = tileWidth * tileHeight
  if (tilePixels < 1 || tilePixels > Math.max(mostTilePixels, width * height))
    throw new FormatError(`The TIFF has tiles of ${tileWidth} × ${tileHeight} pixels, which no honest file has`)
  // Tiles overhang the picture's edge; the row of tiles that is being read is in memory.
  const covered = Math.ceil(width / tileWidth) * Math.ceil(height / tileHeight) * tilePixels
  const decodedPixels = Math.min(covered, width * height + 2 * tilePixels)
  return { width, height, decodedPixels, isBuffered: isTiledInPlanes(directory) }
}

/** Says that the first page is the last: a library that counts pages follows them all, and in a circle for ever. */
function withoutOtherPages({ bytes, nextAt, isBig }: Directory): Buffer {
  const next = bytes.subarray(nextAt, nextAt + (isBig ? 8 : 4))
  if (next.every(byte => byte === 0)) return bytes
  const alone = Buffer.from(bytes)
  alone.fill(0, nextAt, nextAt + next.length)
  return alone
}

import { DecodeError } from './decoder.ts'
import { tags, valueOf, valuesOf, type Directory } from './tiff.ts'

/** How the samples of a TIFF are stored. A sample is one channel of one pixel. */
export interface TiffLayout {
  width: number
  height: number
  /** Bits a sample: 1, 2, 4, 8 or 16. */
  bits: number
  /** Samples a pixel. */
  samples: number
  /** 0 grey from white to black, 1 grey, 2 RGB, 3 palette, 5 CMYK. */
  photometric: number
  compression: number
  /** Whether each sample is stored as its difference to the one on its left. */
  differences: boolean
  /** Whether a byte's lowest bit comes first. */
  reversed: boolean
  /** Whether all red comes before all green, and so on. */
  planar: boolean
  /** The pieces that the picture is stored in: tiles, or strips as wide as it. */
  piece: { width: number; height: number; across: number; down: number; offsets: number[]; lengths: number[] }
}

/** Kinds that the library of jimp reads instead: fax, JPEG within TIFF, and YCbCr. */
const forLibrary = { compressions: [2, 3, 4, 6, 7], photometrics: [6] }

const compressions = [1, 5, 8, 32_773, 32_946]

/** Undefined if the picture is for the library. Throws a DecodeError if it is of a kind that nobody here reads. */
export function readLayout(directory: Directory): TiffLayout | undefined {
  const value = (tag: number, otherwise: number) => valueOf(directory, tag, otherwise)
  const [compression, photometric] = [value(tags.compression, 1), value(tags.photometric, 1)]
  if (forLibrary.compressions.includes(compression) || forLibrary.photometrics.includes(photometric)) return undefined
  const depths = valuesOf(directory, tags.bitsPerSample)
  const layout = {
    width: value(tags.width, 0),
    height: value(tags.height, 0),
    bits: depths[0] ?? 1,
    samples: value(tags.samplesPerPixel, 1),
    photometric,
    compression,
    differences: value(tags.predictor, 1) === 2,
    reversed: value(tags.fillOrder, 1) === 2,
    planar: value(tags.planarConfiguration, 1) === 2 && value(tags.samplesPerPixel, 1) > 1
  }
  assertSupported(
    layout,
    depths.every(depth => depth === depths[0]) && value(tags.sampleFormat, 1) === 1 && value(tags.predictor, 1) <= 2
  )
  return { ...layout, piece: readPieces(directory, layout) }
}

type Kind = Omit<TiffLayout, 'piece'>

function assertSupported({ bits, samples, photometric, compression, width, height }: Kind, isUniform: boolean): void {
  const colours = { 0: 1, 1: 1, 2: 3, 3: 1, 5: 4 }[photometric]
  const known =
    isUniform && colours !== undefined && samples >= colours && samples <= 8 && compressions.includes(compression)
  if (!known || ![1, 2, 4, 8, 16].includes(bits)) {
    throw new DecodeError(
      'UNDECODABLE_IMAGE',
      `A TIFF of ${samples} × ${bits} bits with compression ${compression} and colours of kind ${photometric} is not supported`
    )
  }
  if (width * height < 1) throw new RangeError('a TIFF without pixels')
}

/** A tile of a small picture may be larger than it, but nobody needs one of gigabytes. */
const maxPiecePixels = 2 ** 24

function readPieces(directory: Directory, { width, height }: Kind): TiffLayout['piece'] {
  const tiled = directory.entries.has(tags.tileOffsets)
  const value = (tag: number, otherwise: number) => valueOf(directory, tag, otherwise)
  const size = tiled
    ? { width: value(tags.tileWidth, 0), height: value(tags.tileHeight, 0) }
    : { width, height: Math.min(value(tags.rowsPerStrip, height), height) }
  if (size.width * size.height < 1 || (tiled && size.width * size.height > Math.max(maxPiecePixels, width * height)))
    throw new RangeError('tiles of an impossible size')
  return {
    ...size,
    across: Math.ceil(width / size.width),
    down: Math.ceil(height / size.height),
    offsets: valuesOf(directory, tiled ? tags.tileOffsets : tags.stripOffsets),
    lengths: valuesOf(directory, tiled ? tags.tileByteCounts : tags.stripByteCounts)
  }
}

import { readBmpHeader, type BmpHeader } from './bmp-header.ts'
import { expandRuns } from './bmp-runs.ts'

/** RGBA, 8 bits a channel, row by row. */
interface Bitmap {
  width: number
  height: number
  data: Buffer
}

/**
 * A BMP of 1 to 32 bits a pixel, with a palette, runs (RLE4, RLE8) or bit masks, from OS/2's first header to Windows' fifth.
 * The library that jimp has for it misplaces runs and narrow pixels. Throws a RangeError if pixels are missing.
 */
export function decodeBmp(image: Buffer): Bitmap {
  const header = readBmpHeader(image)
  const { width, height } = header
  const rgba = new Uint32Array(width * height)
  if (header.runs) paint(header, expandRuns(header), rgba)
  else if (header.bits <= 8) paint(header, unpack(header), rgba)
  else if (header.bits === 24) copyBytes(header, rgba)
  else mask(header, rgba)
  return { width, height, data: Buffer.from(rgba.buffer) }
}

/** Bytes of a row as it is stored: whole groups of four. */
function strideOf({ width, bits }: BmpHeader): number {
  return Math.ceil((width * bits) / 32) * 4
}

/** Calls `row` for each row that is shown, with the byte at which it is stored. The last one may lack its padding. */
function eachRow(header: BmpHeader, row: (y: number, at: number) => void): void {
  const { width, height, bits, topDown, pixels } = header
  const stride = strideOf(header)
  if ((height - 1) * stride + Math.ceil((width * bits) / 8) > pixels.length)
    throw new RangeError('the BMP is cut short')
  for (let y = 0; y < height; y++) row(y, (topDown ? y : height - 1 - y) * stride)
}

/** Indices of 1 to 8 bits, the first of a byte in its highest bits, as one byte each. */
function unpack(header: BmpHeader): Uint8Array {
  const { width, height, bits, pixels } = header
  const indices = new Uint8Array(width * height)
  const last = (1 << bits) - 1
  eachRow(header, (y, at) => {
    for (let x = 0, to = y * width; x < width; x++, to++) {
      const bit = x * bits
      indices[to] = ((pixels[at + (bit >> 3)] as number) >> (8 - bits - (bit & 7))) & last
    }
  })
  return indices
}

function paint({ palette }: BmpHeader, indices: Uint8Array, rgba: Uint32Array): void {
  for (let i = 0; i < indices.length; i++) rgba[i] = palette[indices[i] as number] as number
}

function copyBytes(header: BmpHeader, rgba: Uint32Array): void {
  const { width, pixels } = header
  eachRow(header, (y, at) => {
    for (let x = 0, to = y * width, from = at; x < width; x++, to++, from += 3) {
      rgba[to] = colour(pixels[from + 2] as number, pixels[from + 1] as number, pixels[from] as number) | opaque
    }
  })
}

/** Channels that are bits of a number of 16 or 32. An alpha that is 0 everywhere was never meant. */
function mask(header: BmpHeader, rgba: Uint32Array): void {
  const { width, bits, pixels, masks } = header
  const [red, green, blue, alpha] = masks.map(channelOf) as [Channel, Channel, Channel, Channel]
  const wide = bits === 32
  let seen = 0
  eachRow(header, (y, at) => {
    for (let x = 0, to = y * width; x < width; x++, to++) {
      const pixel = wide ? pixels.readUInt32LE(at + 4 * x) : pixels.readUInt16LE(at + 2 * x)
      const opacity = alpha(pixel)
      seen |= opacity
      rgba[to] = colour(red(pixel), green(pixel), blue(pixel)) | (opacity << 24)
    }
  })
  if (seen === 0) for (let i = 0; i < rgba.length; i++) rgba[i] = (rgba[i] as number) | opaque
}

type Channel = (pixel: number) => number

const opaque = 0xff000000

/** The bits of a mask, moved down and widened or narrowed to 0–255. */
function channelOf(bits: number): Channel {
  if (bits === 0) return () => 0
  const shift = 31 - Math.clz32(bits & -bits)
  const most = bits >>> shift
  return pixel => Math.round((((pixel & bits) >>> shift) * 255) / most)
}

/** Without alpha, as a number whose bytes in memory are red, green, blue and 0. */
function colour(red: number, green: number, blue: number): number {
  return red | (green << 8) | (blue << 16)
}

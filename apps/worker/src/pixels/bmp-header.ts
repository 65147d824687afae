import { DecodeError } from './decoder.ts'

export interface BmpHeader {
  width: number
  height: number
  topDown: boolean
  /** Bits a pixel. */
  bits: number
  /** Whether pixels of 4 or 8 bits are stored as runs. */
  runs: boolean
  /** Red, green, blue and alpha within a pixel of 16 or 32 bits; 0 is none. */
  masks: number[]
  /** 256 colours, each a number whose bytes are RGBA; black beyond those in the file. */
  palette: Uint32Array
  /** From the first pixel to the end of the file. */
  pixels: Buffer
}

const fileHeaderBytes = 14
const os2HeaderBytes = 12
const windowsHeaderBytes = 40

/** OS/2's second header has numbers of its own for compression. */
const os2SecondHeaderBytes = 64

/** Compression by its number: none, runs of 8 and of 4 bits, masks, and masks with one for alpha. */
const known = [0, 1, 2, 3, 6]

/** Throws a RangeError if the header is cut short, a DecodeError if the kind is not supported. */
export function readBmpHeader(image: Buffer): BmpHeader {
  const headerBytes = image.readUInt32LE(14)
  const size = headerBytes === os2HeaderBytes ? readOs2(image) : readWindows(image, headerBytes)
  const { bits, compression } = size
  const runs = compression === 1 || compression === 2
  assertSupported({ bits, compression: headerBytes === os2SecondHeaderBytes && compression > 2 ? -1 : compression })
  return {
    ...size,
    runs,
    masks: readMasks(image, headerBytes, size),
    palette: readPalette(image, headerBytes, size),
    pixels: image.subarray(startOfPixels(image, headerBytes, size))
  }
}

interface Size {
  width: number
  height: number
  topDown: boolean
  bits: number
  compression: number
  colours: number
}

function readOs2(image: Buffer): Size {
  return {
    width: image.readUInt16LE(18),
    height: image.readUInt16LE(20),
    topDown: false,
    bits: image.readUInt16LE(24),
    compression: 0,
    colours: 0
  }
}

function readWindows(image: Buffer, headerBytes: number): Size {
  const height = image.readInt32LE(22)
  return {
    width: Math.abs(image.readInt32LE(18)),
    height: Math.abs(height),
    topDown: height < 0,
    bits: image.readUInt16LE(28),
    // The shortest form of OS/2's second header ends before this.
    compression: headerBytes < windowsHeaderBytes ? 0 : image.readUInt32LE(30),
    colours: headerBytes < windowsHeaderBytes ? 0 : image.readUInt32LE(46)
  }
}

function assertSupported({ bits, compression }: { bits: number; compression: number }): void {
  const fits = compression === 1 ? bits === 8 : compression === 2 ? bits === 4 : compression === 0 || bits >= 16
  if (!known.includes(compression) || ![1, 2, 4, 8, 16, 24, 32].includes(bits) || !fits) {
    throw new DecodeError(
      'UNDECODABLE_IMAGE',
      `A BMP of ${bits} bits a pixel with compression ${compression} is not supported`
    )
  }
}

function hasMasks({ compression }: Size): boolean {
  return compression === 3 || compression === 6
}

/** They follow the short header and are part of the longer ones. Without any, 16 bits are 5 a channel and 32 are 8. */
function readMasks(image: Buffer, headerBytes: number, size: Size): number[] {
  if (!hasMasks(size)) return size.bits === 16 ? [0x7c00, 0x3e0, 0x1f, 0] : [0xff0000, 0xff00, 0xff, 0]
  const withAlpha = size.compression === 6 || headerBytes >= 56
  return [54, 58, 62, 66].map((at, i) => (i < 3 || withAlpha ? image.readUInt32LE(at) : 0))
}

/** Colours are blue, green, red, and but for OS/2 a byte of nothing. */
function readPalette(image: Buffer, headerBytes: number, size: Size): Uint32Array {
  const palette = new Uint32Array(256).fill(0xff000000)
  if (size.bits > 8) return palette
  const { start, step, count } = placeOfPalette(image, headerBytes, size)
  for (let i = 0; i < count; i++) palette[i] = (image.readUIntBE(start + i * step, 3) | 0xff000000) >>> 0
  // Blue comes first in the file and third in memory, so that what was read as big-endian BGR already lies in the order RGBA.
  return palette
}

/** As many colours as the header says, and as fit before the pixels where these do not begin with the palette itself. */
function placeOfPalette(
  image: Buffer,
  headerBytes: number,
  size: Size
): { start: number; step: number; count: number } {
  const step = headerBytes === os2HeaderBytes ? 3 : 4
  const start = fileHeaderBytes + headerBytes
  const pixelsAt = image.readUInt32LE(10)
  const end = pixelsAt > start ? pixelsAt : image.length
  return { start, step, count: Math.min(size.colours || 256, 1 << size.bits, Math.floor((end - start) / step)) }
}

/** Some files say that the pixels begin where the palette does, and mean behind it. */
function startOfPixels(image: Buffer, headerBytes: number, size: Size): number {
  const { start, step, count } = placeOfPalette(image, headerBytes, size)
  const pixelsAt = image.readUInt32LE(10)
  return size.bits <= 8 && pixelsAt <= start ? start + count * step : pixelsAt
}

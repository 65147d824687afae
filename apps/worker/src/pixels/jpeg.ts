/** What stands in a JPEG before its pixels. */
export interface JpegHeader {
  width: number
  height: number
  channels: number
  /** Bits a channel. */
  precision: number
  /** 0xc0 to 0xcf: how the pixels are coded. */
  frame: number
  exif: Buffer | undefined
  profile: Buffer | undefined
}

interface Segment {
  marker: number
  from: number
  to: number
  content: Buffer
}

const startOfScan = 0xda

/** A large profile takes 255. */
const maxSegments = 2_000

const exifStart = 'Exif\0\0'
const profileStart = 'ICC_PROFILE\0'

/** Throws a RangeError if the file ends within its header, an Error if it has no frame. */
export function readJpeg(image: Buffer): JpegHeader {
  const before = [...segments(image)]
  const frame = before.find(({ marker }) => isFrame(marker))
  if (frame === undefined) throw new Error('a JPEG without a frame header')
  return {
    precision: frame.content.readUInt8(0),
    height: frame.content.readUInt16BE(1),
    width: frame.content.readUInt16BE(3),
    channels: frame.content.readUInt8(5),
    frame: frame.marker,
    exif: application(before, 0xe1, exifStart)[0],
    profile: joinProfile(application(before, 0xe2, profileStart))
  }
}

/**
 * What a decoder can't read of this JPEG, for the client; undefined if there is nothing. Arithmetic coding is read by libvips
 * and not by jimp; no decoder here reads 12 bits, lossless or hierarchical JPEG.
 */
export function jpegProblem({ precision, frame }: JpegHeader, reads: { arithmetic: boolean }): string | undefined {
  if ([0xc3, 0xc7, 0xcb, 0xcf].includes(frame)) return 'This is a lossless JPEG, which is not supported'
  if (precision !== 8) return `This JPEG has ${precision} bits a channel, of which only 8 are supported`
  if ([0xc5, 0xc6, 0xcd, 0xce].includes(frame)) return 'This is a hierarchical JPEG, which is not supported'
  if (frame >= 0xc8 && !reads.arithmetic) return 'This JPEG is arithmetic-coded, which is not supported'
  return undefined
}

/**
 * A copy of nothing but what pixels come from: tables, frame, scans, and Adobe's segment (0xee), which says how colours are
 * stored. jpeg-js stumbles over broken metadata.
 */
export function withoutMetadata(image: Buffer): Buffer {
  const kept = [...segments(image)].filter(({ marker }) => marker === 0xee || (marker < 0xe0 && marker >= 0xc0))
  return Buffer.concat([image.subarray(0, 2), ...kept.map(({ from, to }) => image.subarray(from, to))])
}

/** Hops over each segment by its length, and over bytes that belong to none. The last is the first scan with all that follows. */
function* segments(image: Buffer): Generator<Segment> {
  let at = image.indexOf(0xff, 2)
  for (let count = 0; at !== -1 && count < maxSegments;) {
    const marker = image.readUInt8(at + 1)
    const length = marker === startOfScan ? image.length - at - 2 : standsAlone(marker) ? 0 : image.readUInt16BE(at + 2)
    if (length >= 2) {
      yield { marker, from: at, to: at + 2 + length, content: image.subarray(at + 4, at + 2 + length) }
      count++
    }
    // 0xff again is filling.
    at = image.indexOf(0xff, marker === 0xff ? at + 1 : at + 2 + length)
  }
}

function standsAlone(marker: number): boolean {
  return marker < 0xc0 || (marker >= 0xd0 && marker <= 0xd9) || marker === 0xff
}

/** 0xc0 to 0xcf, but for the three among them that are tables and extensions. */
function isFrame(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)
}

function application(segments: Segment[], wanted: number, start: string): Buffer[] {
  return segments
    .filter(({ marker, content }) => marker === wanted && content.toString('latin1', 0, start.length) === start)
    .map(({ content }) => content.subarray(start.length))
}

/** A profile comes in up to 255 parts, each with its number from 1 and how many there are. */
function joinProfile(parts: Buffer[]): Buffer | undefined {
  if (parts.length === 0 || parts.some(part => part.length < 2 || part[1] !== parts.length)) return undefined
  const inOrder = parts.toSorted((a, b) => a.readUInt8(0) - b.readUInt8(0))
  return Buffer.concat(inOrder.map(part => part.subarray(2)))
}

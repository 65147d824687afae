import { createSteps, FormatError, startsWith, type Format, type Size } from './format.ts'

/** What stands in a JPEG before its pixels. */
export interface JpegHeader extends Size {
  /** Bits a channel. */
  precision: number
  components: number
  /** 0xc0 to 0xcf: how the pixels are coded. */
  frame: number
  /** From the marker of the first scan on. */
  scans: Buffer
  exif: Buffer | undefined
  /** The ICC profile. */
  profile: Buffer | undefined
}

interface Segment {
  marker: number
  content: Buffer
}

const scanMarker = 0xda
const startOfScan = Buffer.from([0xff, scanMarker])

/** A large profile takes 255 segments, a picture with several of them and previews some hundred. */
const mostSegments = 2_000

/** libvips gives up after a hundred; encoders write about ten. */
const mostScans = 100

const exifStart = 'Exif\0\0'
const profileStart = 'ICC_PROFILE\0'

/** Also arithmetic-coded ones: each scan refines the whole picture. */
export function isProgressive({ frame }: JpegHeader): boolean {
  return frame === 0xc2 || frame === 0xca
}

export const jpeg: Format = {
  mediaType: 'image/jpeg',
  matches: bytes => startsWith(bytes, [0xff, 0xd8, 0xff]),

  measure(bytes) {
    const header = readJpegHeader(bytes)
    const { width, height, precision, components, frame, scans } = header
    if ([0xc3, 0xc7, 0xcb, 0xcf].includes(frame))
      throw new FormatError('This is a lossless JPEG, which is not supported: send a baseline or progressive one')
    if (precision !== 8)
      throw new FormatError(`This JPEG has ${precision} bits a channel, of which only 8 are supported`)
    if ([0xc5, 0xc6, 0xcd, 0xce].includes(frame))
      throw new FormatError('This is a hierarchical JPEG, which is not supported: send a baseline or progressive one')
    const passes = isProgressive(header) ? countScans(scans) : 1
    // Without passes the colours may still follow each other, each in a scan of its own.
    const isBuffered = passes > 1 || scans.readUInt8(4) < components
    const weight = Math.max(1, passes / usualScans) * Math.max(1, components / usualComponents)
    return { width, height, decodedPixels: Math.ceil(width * height * weight), isBuffered }
  },

  firstFrame: bytes => ({ bytes })
}

/** What encoders write for a progressive JPEG; more than that counts as more pixels. */
const usualScans = 10

/** Those of CMYK are one more. */
const usualComponents = 3

/** Throws a RangeError if the file ends within its header, a FormatError if it has no frame. `step` counts the segments. */
export function readJpegHeader(bytes: Buffer, step: () => void = createSteps('JPEG', mostSegments)): JpegHeader {
  const before: Segment[] = []
  const scans = walk(bytes, step, segment => before.push(segment))
  const frame = before.find(({ marker }) => isFrame(marker))
  if (frame === undefined) throw new FormatError('The JPEG has no frame header')
  return {
    precision: frame.content.readUInt8(0),
    height: frame.content.readUInt16BE(1),
    width: frame.content.readUInt16BE(3),
    components: frame.content.readUInt8(5),
    frame: frame.marker,
    scans,
    exif: application(before, 0xe1, exifStart)[0],
    profile: joinProfile(application(before, 0xe2, profileStart))
  }
}

/** Hops over each segment before the first scan by its length, and over bytes that belong to none. Returns what follows. */
function walk(bytes: Buffer, step: () => void, visit: (segment: Segment) => void): Buffer {
  for (let at = bytes.indexOf(0xff, 2); at !== -1;) {
    step()
    // 0xff again is filling.
    while (bytes[at + 1] === 0xff && bytes[at + 2] === 0xff && at < mostFilling) at++
    const marker = bytes.readUInt8(at + 1)
    if (marker === scanMarker) return bytes.subarray(at)
    const length = standsAlone(marker) ? 0 : bytes.readUInt16BE(at + 2)
    if (length >= 2) visit({ marker, content: bytes.subarray(at + 4, at + 2 + length) })
    at = bytes.indexOf(0xff, marker === 0xff ? at + 1 : at + 2 + length)
  }
  return bytes.subarray(bytes.length)
}

/** Bytes of 0xff that may fill the space before a marker, from the start of the file. */
const mostFilling = 1_000_000

function standsAlone(marker: number): boolean {
  return marker < 0xc0 || (marker >= 0xd0 && marker <= 0xd9) || marker === 0xff
}

/** 0xc0 to 0xcf, except for the three among them that are tables and extensions. */
function isFrame(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)
}

/** Within the pixels 0xff is always followed by 0, so that the marker of a scan can't be mistaken. */
function countScans(scans: Buffer): number {
  let count = 0
  for (let at = 0; at !== -1; at = scans.indexOf(startOfScan, at + startOfScan.length)) {
    if (++count > mostScans)
      throw new FormatError(`The JPEG has more than ${mostScans} scans, which no honest file has`)
  }
  return count
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

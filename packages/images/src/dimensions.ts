import { disableTypes, imageSize, types } from 'image-size'
import { imageFormats, type ImageFormat } from './formats.ts'

export interface Size {
  width: number
  height: number
}

/**
 * The library's readers of JPEG and AVIF can be made to block this thread: 10 MB of JPEG for a second, of AVIF for 20 minutes.
 * That of BMP takes the short numbers of OS/2's header for long ones, and its pictures for too large.
 */
const measures: Partial<Record<ImageFormat, (image: Buffer) => Size>> = {
  jpeg: measureJpeg,
  avif: measureAvif,
  bmp: measureBmp
}
disableTypes(types.filter(type => imageFormats.every(known => known !== type)))

/** Width and height in pixels from an image's header; nothing is decoded. Throws if the header can't be read. */
export function dimensions(image: Buffer, format: ImageFormat): Size {
  return (measures[format] ?? libraryMeasure)(image)
}

function libraryMeasure(image: Buffer): Size {
  // It reads past the end of a short image. A small Buffer shares its memory with others, whose bytes would be our answer.
  return imageSize(image.length === image.buffer.byteLength ? image : new Uint8Array(image))
}

/** What the first frame header of a JPEG says. Hops over everything before it, whatever its size. */
function measureJpeg(image: Buffer): Size {
  let at = image.indexOf(0xff, 2)
  while (at !== -1) {
    const marker = image.readUInt8(at + 1)
    if (isFrame(marker)) return { height: image.readUInt16BE(at + 5), width: image.readUInt16BE(at + 7) }
    // 0xff again is filling; the others below 0xc0, and from 0xd0 to 0xd9, stand alone.
    const length = marker < 0xc0 || (marker >= 0xd0 && marker <= 0xd9) ? 0 : image.readUInt16BE(at + 2)
    at = image.indexOf(0xff, marker === 0xff ? at + 1 : at + 2 + length)
  }
  throw new Error('a JPEG without a frame header')
}

/** 0xc0 to 0xcf, but for the three among them that are tables and extensions. */
function isFrame(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)
}

/** Bytes of OS/2's first header, which is told by its length from all later ones. */
const os2HeaderBytes = 12

/** Rows may be stored from top to bottom, which a negative height says. */
function measureBmp(image: Buffer): Size {
  if (image.readUInt32LE(14) === os2HeaderBytes)
    return { width: image.readUInt16LE(18), height: image.readUInt16LE(20) }
  return { width: Math.abs(image.readInt32LE(18)), height: Math.abs(image.readInt32LE(22)) }
}

/** The largest of the sizes in an AVIF, which has one for each of its tiles and thumbnails too. One pass over its boxes. */
function measureAvif(image: Buffer): Size {
  const meta = firstBox(image, 'meta').subarray(4)
  let largest: Size = { width: 0, height: 0 }
  for (const { type, content } of boxes(firstBox(firstBox(meta, 'iprp'), 'ipco'))) {
    if (type !== 'ispe') continue
    const size = { width: content.readUInt32BE(4), height: content.readUInt32BE(8) }
    if (size.width * size.height > largest.width * largest.height) largest = size
  }
  if (largest.width === 0) throw new Error('an AVIF without a size')
  return largest
}

function firstBox(bytes: Buffer, wanted: string): Buffer {
  for (const { type, content } of boxes(bytes)) if (type === wanted) return content
  throw new Error(`no box "${wanted}"`)
}

/** The boxes of an ISO media file, or within one of them. */
function* boxes(bytes: Buffer): Generator<{ type: string; content: Buffer }> {
  for (let at = 0; at + 8 <= bytes.length;) {
    // 0 means up to the end. 1, a size of 64 bits, is for films.
    const size = bytes.readUInt32BE(at) || bytes.length - at
    if (size < 8) return
    yield { type: bytes.toString('latin1', at + 4, at + 8), content: bytes.subarray(at + 8, at + size) }
    at += size
  }
}

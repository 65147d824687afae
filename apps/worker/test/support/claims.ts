import assert from 'node:assert/strict'
import { deflateSync } from 'node:zlib'
import { draw, pngChunk } from './pictures.ts'

/** A PNG of a few kilobytes that says it is `side` × `side`. */
export function pngBomb(side: number): Buffer {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(side, 0)
  header.writeUInt32BE(side, 4)
  header.set([8, 2], 8)
  return Buffer.concat([
    Buffer.from('89504e470d0a1a0a', 'hex'),
    pngChunk('IHDR', header),
    pngChunk('IDAT', deflateSync(Buffer.alloc(3_000_000))),
    pngChunk('IEND', Buffer.alloc(0))
  ])
}

/** An uncompressed BMP without its pixels. */
export function bmpBomb(side: number): Buffer {
  const bmp = Buffer.alloc(54)
  bmp.write('BM')
  bmp.writeUInt32LE(54, 10)
  bmp.writeUInt32LE(40, 14)
  bmp.writeInt32LE(side, 18)
  bmp.writeInt32LE(-side, 22)
  bmp.set([1, 0, 24, 0], 26)
  return bmp
}

/** A JPEG whose frame header says `side` × `side`. */
export async function jpegBomb(side: number): Promise<Buffer> {
  const image = await draw([[[1, 2, 3]]])
    .jpeg()
    .toBuffer()
  const frame = image.indexOf(Buffer.from([0xff, 0xc0]))
  image.writeUInt16BE(side, frame + 5)
  image.writeUInt16BE(side, frame + 7)
  return image
}

/** A TIFF of one pixel that says `side` × `side`. */
export async function tiffBomb(side: number): Promise<Buffer> {
  const image = await draw([[[1, 2, 3]]])
    .tiff()
    .toBuffer()
  const directory = image.readUInt32LE(4)
  for (const [i, tag] of [256, 257].entries()) {
    const entry = directory + 2 + 12 * i
    assert.equal(image.readUInt16LE(entry), tag)
    if (image.readUInt16LE(entry + 2) === 3) image.writeUInt16LE(side, entry + 8)
    else image.writeUInt32LE(side, entry + 8)
  }
  return image
}

/** A GIF whose canvas and frame say `side` × `side`. */
export function gifBomb(side: number): Buffer {
  const gif = Buffer.from('47494638396100000000800000ffffff0000002c0000000000000000000002024401003b', 'hex')
  for (const at of [6, 8, 24, 26]) gif.writeUInt16LE(side, at)
  return gif
}

import type { BmpHeader } from './bmp-header.ts'

/** What follows a zero: the ends of a row and of the picture, and a move to the right and down. More is a number of single pixels. */
const [endOfRow, endOfPicture, move] = [0, 1, 2]

/**
 * RLE4 and RLE8 as one index a pixel, from the top row down. What is jumped over has colour 0. Pixels beyond a row's end are
 * dropped, as by other decoders. Throws a RangeError if the file ends before the picture does.
 */
export function expandRuns({ width, height, topDown, bits, pixels }: BmpHeader): Uint8Array {
  const indices = new Uint8Array(width * height)
  let [x, y, at] = [0, 0, 0]

  while (y < height) {
    const count = pixels.readUInt8(at)
    const value = pixels.readUInt8(at + 1)
    at += 2
    if (count > 0) {
      const from = x
      while (x < Math.min(from + count, width)) put(bits === 8 ? value : half(value, x - from))
      x = from + count
    } else if (value === endOfRow) {
      x = 0
      y++
    } else if (value === endOfPicture) {
      break
    } else if (value === move) {
      x += pixels.readUInt8(at)
      y += pixels.readUInt8(at + 1)
      at += 2
    } else {
      single(value)
    }
    if (x >= width && y === height - 1) break
  }
  return indices

  function put(index: number): void {
    if (x < width) indices[(topDown ? y : height - 1 - y) * width + x] = index
    x++
  }

  /** Stored as they are, filled up to an even number of bytes. */
  function single(count: number): void {
    for (let i = 0; i < count; i++)
      put(bits === 8 ? pixels.readUInt8(at + i) : half(pixels.readUInt8(at + (i >> 1)), i))
    const bytes = Math.ceil((count * bits) / 8)
    at += bytes + (bytes % 2)
  }
}

/** The first pixel of a byte is in its upper half. */
function half(byte: number, i: number): number {
  return i % 2 === 0 ? byte >> 4 : byte & 15
}

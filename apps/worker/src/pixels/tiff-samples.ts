import type { TiffLayout } from './tiff-layout.ts'
import { unpack } from './tiff-unpack.ts'
import type { TiffReader } from './tiff.ts'

/** All samples of a TIFF as one byte each, pixel by pixel. Of 16 bits the upper 8 are kept; fewer than 8 stay the number they are. */
export function readSamples(reader: TiffReader, layout: TiffLayout): Uint8Array {
  const { width, height, samples, planar, piece } = layout
  const all = new Uint8Array(width * height * samples)
  const planes = planar ? samples : 1
  for (let plane = 0, index = 0; plane < planes; plane++) {
    for (let y = 0; y < height; y += piece.height) {
      for (let x = 0; x < width; x += piece.width, index++)
        place(layout, readPiece(reader, layout, { index, rows: rowsAt(layout, y) }), { all, x, y, plane })
    }
  }
  return all
}

/** Tiles are whole even where they stick out of the picture. The last strip is not. */
function rowsAt({ height, width, piece }: TiffLayout, y: number): number {
  return piece.width === width && piece.across === 1 ? Math.min(piece.height, height - y) : piece.height
}

/** Samples that lie side by side in a piece. */
function samplesInRow({ samples, planar, piece }: TiffLayout): number {
  return piece.width * (planar ? 1 : samples)
}

function readPiece(
  { bytes, little }: TiffReader,
  layout: TiffLayout,
  { index, rows }: { index: number; rows: number }
): Uint8Array {
  const { bits, compression, differences, reversed, piece } = layout
  const perRow = samplesInRow(layout)
  const rowBytes = Math.ceil((perRow * bits) / 8)
  const [start, length] = [
    piece.offsets[index] ?? Infinity,
    piece.lengths[index] ?? (piece.offsets.length === 1 ? bytes.length : 0)
  ]
  const packed = bytes.subarray(start, start + length)
  const raw = unpack(reversed ? Buffer.from(packed.map(reverse)) : packed, compression, rows * rowBytes)
  if (raw.length < rows * rowBytes) throw new RangeError(`piece ${index} of a TIFF is cut short`)
  if (bits === 16) return narrow(raw, { little, differences, layout, perRow })
  if (bits === 8) return differences ? sum(Uint8Array.from(raw), perRow, layout) : raw
  return spread(raw, { bits, perRow, rows })
}

/** The bits of a byte from the other end. */
function reverse(byte: number): number {
  let reversed = 0
  for (let bit = 0; bit < 8; bit++) reversed |= ((byte >> bit) & 1) << (7 - bit)
  return reversed
}

/** Samples of 16 bits to their upper byte. */
function narrow(
  raw: Uint8Array,
  { little, differences, layout, perRow }: { little: boolean; differences: boolean; layout: TiffLayout; perRow: number }
): Uint8Array {
  const count = raw.length >> 1
  const [low, high] = little ? [0, 1] : [1, 0]
  const upper = new Uint8Array(count)
  if (!differences) {
    for (let i = 0; i < count; i++) upper[i] = raw[2 * i + high] as number
    return upper
  }
  const wide = new Uint16Array(count)
  for (let i = 0; i < count; i++) wide[i] = (raw[2 * i + low] as number) | ((raw[2 * i + high] as number) << 8)
  sum(wide, perRow, layout)
  for (let i = 0; i < count; i++) upper[i] = (wide[i] as number) >> 8
  return upper
}

/** From differences to the left to values, in place; they wrap around. */
function sum<T extends Uint8Array | Uint16Array>(values: T, perRow: number, { samples, planar }: TiffLayout): T {
  const step = planar ? 1 : samples
  for (let i = 0; i < values.length; i++)
    if (i % perRow >= step) values[i] = (values[i] as number) + (values[i - step] as number)
  return values
}

/** Samples of less than a byte to one byte each; each row begins with a byte of its own. */
function spread(raw: Uint8Array, { bits, perRow, rows }: { bits: number; perRow: number; rows: number }): Uint8Array {
  const samples = new Uint8Array(perRow * rows)
  const [rowBytes, last] = [Math.ceil((perRow * bits) / 8), (1 << bits) - 1]
  for (let y = 0, to = 0; y < rows; y++) {
    for (let i = 0, bit = 0; i < perRow; i++, bit += bits)
      samples[to++] = ((raw[y * rowBytes + (bit >> 3)] as number) >> (8 - bits - (bit & 7))) & last
  }
  return samples
}

function place(
  layout: TiffLayout,
  from: Uint8Array,
  { all, x, y, plane }: { all: Uint8Array; x: number; y: number; plane: number }
): void {
  const { width, height, samples, planar, piece } = layout
  const rows = Math.min(piece.height, height - y)
  const columns = Math.min(piece.width, width - x)
  const perRow = samplesInRow(layout)
  for (let row = 0; row < rows; row++) {
    const to = ((y + row) * width + x) * samples
    if (!planar) all.set(from.subarray(row * perRow, row * perRow + columns * samples), to)
    else
      for (let column = 0; column < columns; column++)
        all[to + column * samples + plane] = from[row * perRow + column] as number
  }
}

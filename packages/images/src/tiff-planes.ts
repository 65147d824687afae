import { tags, valueOf, valuesOf, type Directory } from './tiff-directory.ts'

/** Of a picture whose channels lie in tiles of their own: a grey TIFF for each. libvips can't put such planes together. */
export function planesOf(directory: Directory): Buffer[] {
  const samples = valueOf(directory, tags.samplesPerPixel, 1)
  const [offsets, lengths] = [valuesOf(directory, tags.tileOffsets), valuesOf(directory, tags.tileByteCounts)]
  const tiles = offsets.length / samples
  return Array.from({ length: samples }, (_, plane) => {
    const ofPlane = (values: number[]) => values.slice(plane * tiles, (plane + 1) * tiles)
    return greyFile(directory, { offsets: ofPlane(offsets), lengths: ofPlane(lengths) })
  })
}

/** Tags that a plane has in common with the whole. */
const common = [tags.width, tags.height, tags.compression, tags.tileWidth, tags.tileHeight, 266, 317]

const long = 4
const minIsBlack = 1

/**
 * A copy of the file whose first directory, written behind its end, describes one plane alone. Each value is written as LONG, of
 * which any reader takes numbers that are usually SHORT.
 */
function greyFile(directory: Directory, { offsets, lengths }: { offsets: number[]; lengths: number[] }): Buffer {
  const { bytes, little } = directory
  const fields = new Map<number, number[]>([
    ...common.flatMap(tag => (directory.entries.has(tag) ? [[tag, valuesOf(directory, tag)] as const] : [])),
    [tags.bitsPerSample, [valueOf(directory, tags.bitsPerSample, 1)]],
    [tags.photometric, [minIsBlack]],
    [tags.samplesPerPixel, [1]],
    [tags.tileOffsets, offsets],
    [tags.tileByteCounts, lengths]
  ])
  const start = bytes.length + (bytes.length % 2)
  const directoryBytes = 2 + 12 * fields.size + 4
  const valueBytes = 4 * [...fields.values()].reduce((sum, { length }) => sum + length, 0)
  const file = Buffer.alloc(start + directoryBytes + valueBytes)
  bytes.copy(file)
  const write = (value: number, at: number, size: 2 | 4) =>
    little ? file.writeUIntLE(value, at, size) : file.writeUIntBE(value, at, size)
  write(42, 2, 2)
  write(start, 4, 4)
  write(fields.size, start, 2)
  let at = start + 2
  let valuesAt = start + directoryBytes
  for (const [tag, values] of [...fields].toSorted(([a], [b]) => a - b)) {
    write(tag, at, 2)
    write(long, at + 2, 2)
    write(values.length, at + 4, 4)
    for (const [i, value] of values.entries()) write(value, values.length === 1 ? at + 8 : valuesAt + 4 * i, 4)
    if (values.length > 1) {
      write(valuesAt, at + 8, 4)
      valuesAt += 4 * values.length
    }
    at += 12
  }
  return file
}

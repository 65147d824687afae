import { createSteps, startsWith, type Format } from './format.ts'

interface Chunk {
  type: string
  from: number
  to: number
}

const signature = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]

/** Length, type and checksum of a chunk. */
const chunkBytes = 12

/** Encoders write pixels in chunks of 8 KB and more: ten megabytes are about a thousand. */
const mostChunks = 100_000

/** What pixels come from, and what says how they are to look. */
const wanted = new Set(['IHDR', 'PLTE', 'tRNS', 'IDAT', 'IEND', 'iCCP', 'eXIf'])

export const png: Format = {
  mediaType: 'image/png',
  matches: bytes => startsWith(bytes, signature),

  measure(bytes) {
    const [width, height] = [bytes.readUInt32BE(16), bytes.readUInt32BE(20)]
    return { width, height, decodedPixels: width * height, isBuffered: bytes.readUInt8(28) !== 0 }
  },

  /**
   * Without the frames of an APNG, and without text, which is compressed and would be unpacked. EXIF may stand behind the pixels,
   * where libvips does not look for it: it is put in front of them.
   */
  firstFrame(bytes) {
    const chunks = chunksOf(bytes)
    const pixelsAt = chunks.findIndex(({ type }) => type === 'IDAT')
    const late = pixelsAt === -1 ? [] : chunks.slice(pixelsAt).filter(({ type }) => type === 'eXIf')
    if (late.length === 0 && chunks.every(({ type }) => wanted.has(type))) return { bytes }
    const inPlace = chunks.filter(chunk => wanted.has(chunk.type) && !late.includes(chunk))
    const kept = inPlace.toSpliced(
      inPlace.findIndex(({ type }) => type === 'IDAT'),
      0,
      ...late.slice(0, 1)
    )
    return {
      bytes: Buffer.concat([
        bytes.subarray(0, signature.length),
        ...kept.map(({ from, to }) => bytes.subarray(from, to))
      ])
    }
  }
}

/** Up to the end of the picture; a chunk that is cut short counts as far as it goes. */
function chunksOf(bytes: Buffer): Chunk[] {
  const step = createSteps('PNG', mostChunks)
  const chunks: Chunk[] = []
  for (let from = signature.length; from + 8 <= bytes.length;) {
    step()
    const to = from + chunkBytes + bytes.readUInt32BE(from)
    const type = bytes.toString('latin1', from + 4, from + 8)
    chunks.push({ type, from, to })
    if (type === 'IEND') break
    from = to
  }
  return chunks
}

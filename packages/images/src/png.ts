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

/** What says how pixels are to look, each of which a file may have one of. */
const singles = new Set(['IHDR', 'PLTE', 'tRNS', 'iCCP', 'eXIf'])

export const png: Format = {
  mediaType: 'image/png',
  matches: bytes => startsWith(bytes, signature),

  measure(bytes) {
    const [width, height] = [bytes.readUInt32BE(16), bytes.readUInt32BE(20)]
    return { width, height, decodedPixels: width * height, isBuffered: bytes.readUInt8(28) !== 0 }
  },

  /**
   * Without the frames of an APNG, and without text, which is compressed and would be unpacked. What there may be one of stands once,
   * in front of the pixels: libvips looks for EXIF nowhere else.
   */
  firstFrame(bytes) {
    const chunks = chunksOf(bytes)
    const once = new Map<string, Chunk>()
    for (const chunk of chunks) if (singles.has(chunk.type) && !once.has(chunk.type)) once.set(chunk.type, chunk)
    const pixels = chunks.filter(({ type }) => type === 'IDAT')
    const end = chunks.filter(({ type }) => type === 'IEND')
    const kept = [...once.values(), ...pixels, ...end]
    if (kept.length === chunks.length && kept.every((chunk, i) => chunk === chunks[i])) return { bytes }
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

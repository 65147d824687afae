import { createSteps, FormatError, type Format, type Size } from './format.ts'

interface Chunk {
  type: string
  content: Buffer
}

const headerBytes = 12
const frameHeaderBytes = 16

/** A picture has a handful; only the first frame of an animation is looked for. */
const mostChunks = 1_000

/** Flags of VP8X: what the file has besides pixels. */
const flags = { alpha: 0x10, profile: 0x20 }

export const webp: Format = {
  mediaType: 'image/webp',
  matches: bytes => /^RIFF....WEBP/s.test(bytes.toString('latin1', 0, headerBytes)),

  measure(bytes) {
    const { width, height } = canvasOf(bytes)
    // A film's first frame, and what has transparency, is held once more.
    const isBuffered = find(bytes, 'VP8L', 'ALPH', 'ANMF', 'VP8 ')?.type !== 'VP8 '
    return { width, height, decodedPixels: width * height, isBuffered }
  },

  /** The first frame of an animation as a WebP of its own; a picture that does not move as it is. */
  firstFrame(bytes) {
    const frame = find(bytes, 'ANMF')?.content
    if (frame === undefined) return { bytes }
    const canvas = canvasOf(bytes)
    const size = { width: frame.readUIntLE(6, 3) + 1, height: frame.readUIntLE(9, 3) + 1 }
    const [left, top] = [2 * frame.readUIntLE(0, 3), 2 * frame.readUIntLE(3, 3)]
    const alone = wrap(bytes, frame.subarray(frameHeaderBytes), size)
    if (size.width === canvas.width && size.height === canvas.height) return { bytes: alone }
    return { bytes: alone, placement: { canvas, left, top } }
  }
}

/** Each chunk up to the first frame of an animation: 4 bytes of type, 4 of length, the content, and a byte more if that is odd. */
function* chunksOf(bytes: Buffer, from: number): Generator<Chunk> {
  const step = createSteps('WebP', mostChunks)
  for (let at = from; at + 8 <= bytes.length;) {
    step()
    const length = bytes.readUInt32LE(at + 4)
    const type = bytes.toString('latin1', at, at + 4)
    yield { type, content: bytes.subarray(at + 8, at + 8 + length) }
    if (type === 'ANMF') return
    at += 8 + length + (length % 2)
  }
}

function find(bytes: Buffer, ...types: string[]): Chunk | undefined {
  for (const chunk of chunksOf(bytes, headerBytes)) if (types.includes(chunk.type)) return chunk
  return undefined
}

function canvasOf(bytes: Buffer): Size {
  const first = find(bytes, 'VP8X', 'VP8 ', 'VP8L')
  if (first === undefined) throw new FormatError('The WebP has no picture')
  return sizeOf(first)
}

/** Of the canvas, or of the pixels as the lossy and the lossless coder say it. */
function sizeOf({ type, content }: Chunk): Size {
  if (type === 'VP8X') return { width: content.readUIntLE(4, 3) + 1, height: content.readUIntLE(7, 3) + 1 }
  if (type === 'VP8 ') return { width: content.readUInt16LE(6) & 0x3fff, height: content.readUInt16LE(8) & 0x3fff }
  const bits = content.readUInt32LE(1)
  return { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 }
}

/** The chunks of a frame with the profile of the file it was part of. */
function wrap(bytes: Buffer, frame: Buffer, size: Size): Buffer {
  const pixels = [...chunksOf(frame, 0)].filter(({ type }) => ['ALPH', 'VP8 ', 'VP8L'].includes(type))
  const profile = find(bytes, 'ICCP')
  const extended = Buffer.alloc(10)
  extended.writeUInt8(flags.alpha | (profile ? flags.profile : 0))
  extended.writeUIntLE(size.width - 1, 4, 3)
  extended.writeUIntLE(size.height - 1, 7, 3)
  const chunks = [{ type: 'VP8X', content: extended }, ...(profile ? [profile] : []), ...pixels].map(encode)
  const header = Buffer.from('RIFF\0\0\0\0WEBP', 'latin1')
  header.writeUInt32LE(4 + chunks.reduce((sum, { length }) => sum + length, 0), 4)
  return Buffer.concat([header, ...chunks])
}

function encode({ type, content }: Chunk): Buffer {
  const header = Buffer.alloc(8)
  header.write(type, 'latin1')
  header.writeUInt32LE(content.length, 4)
  return Buffer.concat([header, content, Buffer.alloc(content.length % 2)])
}

import { inflateSync } from 'node:zlib'

/** What stands in a PNG around its pixels. */
export interface PngHeader {
  width: number
  height: number
  grey: boolean
  exif: Buffer | undefined
  profile: Buffer | undefined
}

interface Chunk {
  type: string
  from: number
  to: number
  content: Buffer
}

const signatureBytes = 8

/** Length, type and checksum of a chunk. */
const chunkBytes = 12

/** Profiles of tables have up to 3 MB; deflate packs a thousand times as much into what is uploaded. */
const maxProfileBytes = 4 * 1024 * 1024

/** Throws a RangeError if the file ends within its first chunk. */
export function readPng(image: Buffer): PngHeader {
  const chunks = [...chunksOf(image)]
  const content = (type: string) => chunks.find(chunk => chunk.type === type)?.content
  return {
    width: image.readUInt32BE(16),
    height: image.readUInt32BE(20),
    // Bit 1 of the colour type: colours are used.
    grey: (image.readUInt8(25) & 2) === 0,
    exif: content('eXIf'),
    profile: inflateProfile(content('iCCP'))
  }
}

/**
 * A copy of nothing but the chunks that pixels come from. All else is unread attack surface, and what says that a PNG moves
 * makes it a type of its own to jimp, which doesn't read that.
 */
export function withoutAncillary(image: Buffer): Buffer {
  const essential = [...chunksOf(image)].filter(({ type }) => ['IHDR', 'PLTE', 'tRNS', 'IDAT', 'IEND'].includes(type))
  return Buffer.concat([
    image.subarray(0, signatureBytes),
    ...essential.map(({ from, to }) => image.subarray(from, to))
  ])
}

/** Up to the end of the picture; what is cut short counts as far as it goes. */
function* chunksOf(image: Buffer): Generator<Chunk> {
  for (let from = signatureBytes; from + signatureBytes <= image.length;) {
    const to = from + chunkBytes + image.readUInt32BE(from)
    const type = image.toString('latin1', from + 4, from + 8)
    yield { type, from, to, content: image.subarray(from + 8, to - 4) }
    if (type === 'IEND') return
    from = to
  }
}

/** A name that ends with 0, the number of the only method there is, and the profile. A broken one is none. */
function inflateProfile(chunk: Buffer | undefined): Buffer | undefined {
  if (chunk === undefined) return undefined
  try {
    return inflateSync(chunk.subarray(chunk.indexOf(0) + 2), { maxOutputLength: maxProfileBytes })
  } catch {
    return undefined
  }
}

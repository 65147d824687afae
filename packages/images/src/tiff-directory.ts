import { FormatError } from './format.ts'

interface Entry {
  type: number
  count: number
  /** Where the values lie. */
  at: number
}

/** The entries of the first directory (IFD) of a TIFF, or of EXIF, which is one. */
export interface Directory {
  bytes: Buffer
  little: boolean
  /** BigTIFF: offsets and counts have eight bytes. */
  isBig: boolean
  entries: Map<number, Entry>
  /** Where the offset of the next directory stands. */
  nextAt: number
}

export const tags = {
  width: 256,
  height: 257,
  bitsPerSample: 258,
  compression: 259,
  photometric: 262,
  stripOffsets: 273,
  orientation: 274,
  samplesPerPixel: 277,
  rowsPerStrip: 278,
  stripByteCounts: 279,
  planarConfiguration: 284,
  tileWidth: 322,
  tileHeight: 323,
  tileOffsets: 324,
  tileByteCounts: 325,
  extraSamples: 338,
  sampleFormat: 339,
  chromaSubsampling: 530
} as const

/** Bytes of one value by field type: BYTE, ASCII, SHORT, LONG, SBYTE, UNDEFINED, and LONG8 of BigTIFF. */
const typeBytes: Record<number, number> = { 1: 1, 2: 1, 3: 2, 4: 4, 6: 1, 7: 1, 16: 8 }

/** Cameras write less than a hundred. */
const mostEntries = 4_096

/** Throws a RangeError if it is cut short. */
export function readDirectory(bytes: Buffer): Directory {
  const little = bytes.toString('latin1', 0, 2) === 'II'
  const isBig = readNumber({ bytes, little }, 2, 2) === 43
  const layout = isBig ? { pointer: 8, firstAt: 8, countBytes: 8 } : { pointer: 4, firstAt: 4, countBytes: 2 }
  const first = readNumber({ bytes, little }, layout.firstAt, layout.pointer)
  const count = readNumber({ bytes, little }, first, layout.countBytes)
  if (count > mostEntries)
    throw new FormatError(`The TIFF has ${count} tags in its first page, which no honest file has`)
  const entryBytes = 4 + 2 * layout.pointer
  const entries = new Map<number, Entry>()
  for (let i = 0, at = first + layout.countBytes; i < count; i++, at += entryBytes) {
    const [tag, type] = [readNumber({ bytes, little }, at, 2), readNumber({ bytes, little }, at + 2, 2)]
    const values = readNumber({ bytes, little }, at + 4, layout.pointer)
    const valueAt = at + 4 + layout.pointer
    const isInside = values * (typeBytes[type] ?? Infinity) <= layout.pointer
    const place = isInside ? valueAt : readNumber({ bytes, little }, valueAt, layout.pointer)
    entries.set(tag, { type, count: values, at: place })
  }
  return { bytes, little, isBig, entries, nextAt: first + layout.countBytes + count * entryBytes }
}

/** All values of a tag; none if it is missing or not of whole numbers. Throws a RangeError if they are not in the file. */
export function valuesOf({ bytes, little, entries }: Directory, tag: number): number[] {
  const entry = entries.get(tag)
  const size = typeBytes[entry?.type ?? 0]
  if (entry === undefined || size === undefined) return []
  // Before anything of that length is made: a count can say four billion.
  if (entry.at + entry.count * size > bytes.length) throw new RangeError(`TIFF tag ${tag} lies outside of the file`)
  return Array.from({ length: entry.count }, (_, i) => readNumber({ bytes, little }, entry.at + i * size, size))
}

/** The first value of a tag, or what holds where the tag is missing. */
export function valueOf(directory: Directory, tag: number, otherwise: number): number {
  const { bytes, little, entries } = directory
  const entry = entries.get(tag)
  const size = typeBytes[entry?.type ?? 0]
  if (entry === undefined || size === undefined || entry.count < 1) return otherwise
  return readNumber({ bytes, little }, entry.at, size)
}

/** An unsigned number of 1, 2, 4 or 8 bytes. What is over 2^53 lies outside of any file all the same. */
function readNumber({ bytes, little }: Pick<Directory, 'bytes' | 'little'>, at: number, size: number): number {
  if (size === 8) return Number(little ? bytes.readBigUInt64LE(at) : bytes.readBigUInt64BE(at))
  return little ? bytes.readUIntLE(at, size) : bytes.readUIntBE(at, size)
}

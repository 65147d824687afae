/** Numbers of a TIFF structure, which says itself whether its bytes are little- or big-endian. */
export interface TiffReader {
  bytes: Buffer
  little: boolean
  short: (at: number) => number
  long: (at: number) => number
}

interface Entry {
  type: number
  count: number
  at: number
}

/** The entries of one directory (IFD) by their tags. */
export interface Directory {
  reader: TiffReader
  entries: Map<number, Entry>
}

/** Bytes of one value of each field type; LONG8 and the like belong to BigTIFF. */
const typeBytes: Record<number, number> = { 1: 1, 2: 1, 3: 2, 4: 4, 6: 1, 7: 1 }

export const tags = {
  width: 256,
  height: 257,
  bitsPerSample: 258,
  compression: 259,
  photometric: 262,
  fillOrder: 266,
  stripOffsets: 273,
  orientation: 274,
  samplesPerPixel: 277,
  rowsPerStrip: 278,
  stripByteCounts: 279,
  planarConfiguration: 284,
  predictor: 317,
  colorMap: 320,
  tileWidth: 322,
  tileHeight: 323,
  tileOffsets: 324,
  tileByteCounts: 325,
  extraSamples: 338,
  sampleFormat: 339,
  profile: 34_675
} as const

/** The first directory of a TIFF file, or of EXIF, which is one. Throws a RangeError if it is cut short. */
export function readDirectory(bytes: Buffer): Directory {
  const little = bytes.toString('latin1', 0, 2) === 'II'
  const reader: TiffReader = {
    bytes,
    little,
    short: at => (little ? bytes.readUInt16LE(at) : bytes.readUInt16BE(at)),
    long: at => (little ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at))
  }
  const first = reader.long(4)
  const entries = new Map<number, Entry>()
  for (let i = 0, at = first + 2; i < reader.short(first); i++, at += 12)
    entries.set(reader.short(at), readEntry(reader, at))
  return { reader, entries }
}

/** Up to four bytes of values stand in the entry itself, more of them elsewhere. */
function readEntry({ short, long }: TiffReader, at: number): Entry {
  const [type, count] = [short(at + 2), long(at + 4)]
  const inside = count * (typeBytes[type] ?? Infinity) <= 4
  return { type, count, at: inside ? at + 8 : long(at + 8) }
}

/** All values of a tag; none if it is missing or not of whole numbers. Throws a RangeError if they are not in the file. */
export function valuesOf({ reader, entries }: Directory, tag: number): number[] {
  const entry = entries.get(tag)
  const size = typeBytes[entry?.type ?? 0]
  if (entry === undefined || size === undefined) return []
  // Before anything of that length is made: a count can say four billion.
  if (entry.at + entry.count * size > reader.bytes.length)
    throw new RangeError(`TIFF tag ${tag} lies outside of the file`)
  const read = size === 1 ? (at: number) => reader.bytes.readUInt8(at) : size === 2 ? reader.short : reader.long
  return Array.from({ length: entry.count }, (_, i) => read(entry.at + i * size))
}

/** The first value of a tag, or what holds where the tag is missing. */
export function valueOf({ reader, entries }: Directory, tag: number, otherwise: number): number {
  const entry = entries.get(tag)
  if (entry === undefined || entry.count < 1) return otherwise
  if (entry.type === 3) return reader.short(entry.at)
  return entry.type === 4 ? reader.long(entry.at) : (valuesOf({ reader, entries }, tag)[0] ?? otherwise)
}

/** The bytes of a tag, of which nothing is copied. */
export function bytesOf({ reader, entries }: Directory, tag: number): Buffer | undefined {
  const entry = entries.get(tag)
  if (entry === undefined || entry.at + entry.count > reader.bytes.length) return undefined
  return reader.bytes.subarray(entry.at, entry.at + entry.count)
}

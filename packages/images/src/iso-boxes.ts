import { createSteps, FormatError } from './format.ts'

/** A box of an ISO base media file: type and content, without its header. */
export interface Box {
  type: string
  content: Buffer
}

/** The boxes in `bytes`, of which at most as many are looked at as `step` allows. */
export function* boxesOf(bytes: Buffer, step: () => void): Generator<Box> {
  for (let at = 0; at + 8 <= bytes.length;) {
    step()
    // 0 means up to the end. 1, a size of 64 bits, is for films.
    const size = bytes.readUInt32BE(at) || bytes.length - at
    if (size < 8) return
    yield { type: bytes.toString('latin1', at + 4, at + 8), content: bytes.subarray(at + 8, at + size) }
    at += size
  }
}

/** How an item is made of others, or what it belongs to. */
export interface Reference {
  type: string
  from: number
  to: number[]
}

/** What the `meta` box of a picture file says: numbered items, their properties, and which of them is the picture. */
export interface Items {
  primary: number
  types: Map<number, string>
  properties: Map<number, Box[]>
  references: Reference[]
  /** The bytes of an item, which lie in the file or in the box itself. */
  contentOf: (item: number) => Buffer
  /** Counts what is looked at. */
  step: () => void
}

/** A phone's picture has about a hundred items, each with half a dozen properties and references. */
const mostParts = 20_000

/** Throws a FormatError or a RangeError if there is no such box, or it is broken. */
export function readItems(bytes: Buffer): Items {
  const step = createSteps('picture file', mostParts)
  const meta = [...boxesOf(find(boxesOf(bytes, step), 'meta').subarray(4), step)]
  const read = <T>(type: string, from: (content: Buffer) => T, otherwise: T): T => {
    const box = meta.find(box => box.type === type)
    return box === undefined ? otherwise : from(box.content)
  }
  const places = read('iloc', content => readPlaces(content, step), new Map<number, Place[]>())
  assertModest(places, bytes)
  const inside = read('idat', content => content, bytes.subarray(0, 0))
  return {
    primary: read('pitm', content => numberAt(content, 4, content[0] === 0 ? 2 : 4), 0),
    types: read('iinf', content => readTypes(content, step), new Map()),
    properties: read('iprp', content => readProperties(content, step), new Map()),
    references: read('iref', content => readReferences(content, step), []),
    step,
    contentOf(item) {
      const [first, ...others] = (places.get(item) ?? []).map(place =>
        (place.isInside ? inside : bytes).subarray(place.offset, place.offset + place.length)
      )
      if (first === undefined) return bytes.subarray(0, 0)
      return others.length === 0 ? first : Buffer.concat([first, ...others])
    }
  }
}

/** Throws a FormatError if items in pieces have more bytes than the file: to put them together would cost more than to read it. */
function assertModest(places: Map<number, Place[]>, bytes: Buffer): void {
  const pieces = [...places.values()].filter(({ length }) => length > 1).flat()
  const total = pieces.reduce((sum, { length }) => sum + length, 0)
  if (total > bytes.length) throw new FormatError('The picture file has items whose pieces lie over each other')
}

function find(boxes: Iterable<Box>, wanted: string): Buffer {
  for (const { type, content } of boxes) if (type === wanted) return content
  throw new FormatError(`The picture file has no box "${wanted}"`)
}

function readTypes(content: Buffer, step: () => void): Map<number, string> {
  const types = new Map<number, string>()
  for (const { type, content: entry } of boxesOf(content.subarray(content[0] === 0 ? 6 : 8), step)) {
    if (type !== 'infe') continue
    const idBytes = entry[0] === 2 ? 2 : 4
    types.set(numberAt(entry, 4, idBytes), entry.toString('latin1', 6 + idBytes, 10 + idBytes))
  }
  return types
}

/** Properties stand in one list; each item has numbers of those that are its own. */
function readProperties(content: Buffer, step: () => void): Map<number, Box[]> {
  const parts = [...boxesOf(content, step)]
  const list = [...boxesOf(find(parts, 'ipco'), step)]
  const properties = new Map<number, Box[]>()
  for (const { content: map } of parts.filter(({ type }) => type === 'ipma')) {
    const idBytes = map[0] === 0 ? 2 : 4
    const indexBytes = ((map[3] ?? 0) & 1) === 1 ? 2 : 1
    let at = 8
    for (let left = map.readUInt32BE(4); left > 0; left--) {
      const item = numberAt(map, at, idBytes)
      const count = map.readUInt8(at + idBytes)
      at += idBytes + 1
      for (let i = 0; i < count; i++, at += indexBytes) {
        step()
        // The highest bit says whether a reader must understand it.
        const index = numberAt(map, at, indexBytes) & (indexBytes === 2 ? 0x7fff : 0x7f)
        const property = list[index - 1]
        if (property !== undefined) add(properties, item, property)
      }
    }
  }
  return properties
}

function readReferences(content: Buffer, step: () => void): Reference[] {
  const idBytes = content[0] === 0 ? 2 : 4
  return [...boxesOf(content.subarray(4), step)].map(({ type, content: entry }) => {
    const count = entry.readUInt16BE(idBytes)
    const to = Array.from({ length: count }, (_, i) => {
      step()
      return numberAt(entry, idBytes + 2 + i * idBytes, idBytes)
    })
    return { type, from: numberAt(entry, 0, idBytes), to }
  })
}

interface Place {
  isInside: boolean
  offset: number
  length: number
}

/** Where the pieces of each item lie. */
function readPlaces(content: Buffer, step: () => void): Map<number, Place[]> {
  const version = content.readUInt8(0)
  const sizes = content.readUInt16BE(4)
  const [offsetBytes, lengthBytes, baseBytes] = [sizes >> 12, (sizes >> 8) & 15, (sizes >> 4) & 15] as const
  const indexBytes = version === 0 ? 0 : sizes & 15
  const idBytes = version < 2 ? 2 : 4
  const places = new Map<number, Place[]>()
  let at = 6 + idBytes
  const next = (size: number): number => {
    const value = numberAt(content, at, size)
    at += size
    return value
  }
  for (let left = numberAt(content, 6, idBytes); left > 0; left--) {
    step()
    const item = next(idBytes)
    const method = version === 0 ? 0 : next(2) & 15
    at += 2
    const base = next(baseBytes)
    const extents = next(2)
    for (let i = 0; i < extents; i++) {
      step()
      at += indexBytes
      add(places, item, { isInside: method === 1, offset: base + next(offsetBytes), length: next(lengthBytes) })
    }
  }
  return places
}

/** Puts one more into the list of `key`. */
export function add<Value>(lists: Map<number, Value[]>, key: number, value: Value): void {
  const list = lists.get(key)
  if (list === undefined) lists.set(key, [value])
  else list.push(value)
}

/** A big-endian number of 0, 1, 2, 4 or 8 bytes; none is 0. */
function numberAt(bytes: Buffer, at: number, size: number): number {
  if (size === 0) return 0
  return size === 8 ? Number(bytes.readBigUInt64BE(at)) : bytes.readUIntBE(at, size)
}

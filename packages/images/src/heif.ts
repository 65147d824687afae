import { codedSize, coders } from './coded-size.ts'
import { FormatError, type Format, type FirstFrame, type Measured, type Size } from './format.ts'
import { add, readItems, type Items } from './iso-boxes.ts'

/** AVIF and HEIC are the same file format, with pictures of another coder in it. */
export const avif: Format = {
  mediaType: 'image/avif',
  matches: bytes => hasBrand(bytes, ['avif', 'avis']),
  measure,
  firstFrame
}

export const heic: Format = {
  mediaType: 'image/heic',
  matches: bytes => hasBrand(bytes, ['heic', 'heix', 'heim', 'heis', 'hevc', 'hevx', 'mif1', 'msf1']),
  measure,
  firstFrame(bytes) {
    const profile = profileOf(readItems(bytes))
    return { bytes, ...(profile ? { profile } : {}) }
  }
}

/** Of the picture, or of the first that it is made of: phones write Display P3. */
function profileOf({ primary, properties, references }: Items): Buffer | undefined {
  const tiles = references.find(({ type, from }) => type === 'dimg' && from === primary)?.to ?? []
  const colours = [primary, ...tiles.slice(0, 1)].flatMap(item => properties.get(item) ?? [])
  const icc = colours.find(
    ({ type, content }) => type === 'colr' && ['prof', 'rICC'].includes(content.toString('latin1', 0, 4))
  )
  return icc?.content.subarray(4)
}

/** Of a file that begins with its brands: its own, a version, and those that it is compatible with. */
function hasBrand(bytes: Buffer, wanted: string[]): boolean {
  if (bytes.length < 16 || bytes.toString('latin1', 4, 8) !== 'ftyp') return false
  const brands = bytes.toString('latin1', 8, Math.min(bytes.readUInt32BE(0), mostBrandBytes)).match(/.{4}/gs) ?? []
  return brands.some(brand => wanted.includes(brand))
}

const mostBrandBytes = 256

/** How deep pictures are made of others: a grid of overlays of pictures, and one more. */
const mostDepth = 4

function measure(bytes: Buffer): Measured {
  const items = readItems(bytes)
  const size = claimedSize(items, items.primary)
  if (size === undefined) throw new FormatError('The picture file does not say its size')
  const { pixels } = createMeter(items)(items.primary)
  return { ...size, decodedPixels: Math.max(pixels, size.width * size.height), isBuffered: true }
}

/** Pixels of an item with all that it is made of, and how many layers of parts these are. */
interface Weight {
  pixels: number
  depth: number
}

/** Weighs items, each of them once: a small file can have paths without number through its parts. */
function createMeter(items: Items) {
  const [parts, planes] = [indexed(items, 'dimg', 'from'), indexed(items, 'auxl', 'to')]
  const weighed = new Map<number, Weight>()
  return (item: number): Weight => weigh(item, 0)

  function weigh(item: number, above: number): Weight {
    const weight = weighed.get(item) ?? (above > mostDepth ? undefined : weighAnew(item, above))
    if (weight === undefined || above + weight.depth > mostDepth)
      throw new FormatError('The picture file is made of parts of parts of parts')
    weighed.set(item, weight)
    return weight
  }

  /** What a grid repeats is decoded again. */
  function weighAnew(item: number, above: number): Weight {
    const within = [...partsOf(item), ...(planes.get(item) ?? []).filter(isCoded)]
    const weights = within.map(part => weigh(part, above + 1))
    const sizes = [claimedSize(items, item), isMade(item) ? canvasOf(items, item) : codedSize(items, item)]
    const ofParts = weights.reduce((sum, { pixels }) => sum + pixels, 0)
    const own = sizes.map(size => (size === undefined ? 0 : size.width * size.height))
    return { pixels: Math.max(...own, ofParts), depth: 1 + Math.max(-1, ...weights.map(({ depth }) => depth)) }
  }

  function partsOf(item: number): number[] {
    return isMade(item) ? (parts.get(item) ?? []) : []
  }

  function isMade(item: number): boolean {
    return made.has(items.types.get(item) ?? '')
  }

  function isCoded(item: number): boolean {
    return !isMade(item) && coders.includes(items.types.get(item) ?? '')
  }
}

/** The items at the other end of references of one kind, by the item at this end. */
function indexed({ references }: Items, wanted: string, by: 'from' | 'to'): Map<number, number[]> {
  const index = new Map<number, number[]>()
  for (const { type, from, to } of references) {
    if (type !== wanted) continue
    for (const item of to) {
      const [here, there] = by === 'from' ? [from, item] : [item, from]
      add(index, here, there)
    }
  }
  return index
}

/** Pictures that are made of others, and where their own size stands behind version and flags; it need not be the one they claim. */
const made = new Map([
  ['grid', 4],
  ['iovl', 10],
  ['iden', undefined]
])

function canvasOf({ types, contentOf }: Items, item: number): Size | undefined {
  const at = made.get(types.get(item) ?? '')
  if (at === undefined) return undefined
  const content = contentOf(item)
  const isWide = (content.readUInt8(1) & 1) === 1
  return isWide
    ? { width: content.readUInt32BE(at), height: content.readUInt32BE(at + 4) }
    : { width: content.readUInt16BE(at), height: content.readUInt16BE(at + 2) }
}

function claimedSize({ properties }: Items, item: number): Size | undefined {
  const extents = properties.get(item)?.find(({ type }) => type === 'ispe')?.content
  return extents && { width: extents.readUInt32BE(4), height: extents.readUInt32BE(8) }
}

/** libvips knows an AVIF by its own brand alone: not a sequence (`avis`), and not one that puts a general brand (`mif1`) first. */
function firstFrame(bytes: Buffer): FirstFrame {
  if (bytes.toString('latin1', 8, 12) === 'avif') return { bytes }
  const copy = Buffer.from(bytes)
  copy.write('avif', 8, 'latin1')
  return { bytes: copy }
}

import { codedSize } from './coded-size.ts'
import { FormatError, type Format, type FirstFrame, type Measured, type Size } from './format.ts'
import { readItems, type Items } from './iso-boxes.ts'

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
  firstFrame: bytes => ({ bytes })
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
  const planes = items.references.filter(({ type, to }) => type === 'auxl' && to.includes(items.primary))
  const decodedPixels = planes.reduce(
    (sum, { from }) => sum + decodedPixelsOf(items, from),
    decodedPixelsOf(items, items.primary)
  )
  return { ...size, decodedPixels: Math.max(decodedPixels, size.width * size.height), isBuffered: true }
}

/** Pixels of an item and of all that it is made of. What a grid repeats is decoded again. */
function decodedPixelsOf(items: Items, item: number, depth = 0): number {
  if (depth > mostDepth) throw new FormatError('The picture file is made of parts of parts of parts')
  const parts = items.references.filter(({ type, from }) => type === 'dimg' && from === item).flatMap(({ to }) => to)
  const ofParts = new Map<number, number>()
  for (const part of new Set(parts)) ofParts.set(part, decodedPixelsOf(items, part, depth + 1))
  return Math.max(
    pixelsOf(claimedSize(items, item)),
    parts.length > 0 ? 0 : pixelsOf(codedSize(items.properties.get(item) ?? [], items.contentOf(item))),
    parts.reduce((sum, part) => sum + (ofParts.get(part) ?? 0), 0)
  )
}

function pixelsOf(size: Size | undefined): number {
  return size === undefined ? 0 : size.width * size.height
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

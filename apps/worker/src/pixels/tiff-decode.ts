import { DecodeError } from './decoder.ts'
import type { Bitmap } from './resample.ts'
import { readLayout, type TiffLayout } from './tiff-layout.ts'
import { readSamples } from './tiff-samples.ts'
import { readDirectory, tags, valueOf, valuesOf, type Directory } from './tiff.ts'

/** The first page of a TIFF; undefined if it is fax, JPEG or YCbCr, which the library of jimp reads better than the rest. */
export function decodeTiff(image: Buffer): Bitmap | undefined {
  const directory = readDirectory(image)
  const layout = readLayout(directory)
  if (layout === undefined) return undefined
  const { width, height, photometric, bits } = layout
  const picture = { layout, from: readSamples(directory.reader, layout), to: new Uint8ClampedArray(width * height * 4) }
  if (photometric === 2) paintColours(picture)
  else if (photometric === 5) paintInks(picture)
  else paintTables(picture, photometric === 3 ? readPalette(directory, bits) : greys(bits, photometric === 0))
  if (valueOf(directory, tags.extraSamples, 0) === multipliedAlpha) divideByAlpha(picture.to)
  return { width, height, rgba: picture.to }
}

/** Whether `decodeTiff` decodes it, or can say what about it is not supported. */
export function isOwnKind(image: Buffer): boolean {
  try {
    return readLayout(readDirectory(image)) !== undefined
  } catch (error) {
    return error instanceof DecodeError
  }
}

/** What the first extra sample is: 2 is alpha beside which colours stand as they are. */
const multipliedAlpha = 1

interface Painting {
  layout: TiffLayout
  from: Uint8Array
  to: Uint8ClampedArray<ArrayBuffer>
}

function paintColours({ layout: { samples, bits }, from, to }: Painting): void {
  const [full] = greys(bits, false)
  for (let pixel = 0, at = 0; pixel < to.length; pixel += 4, at += samples) {
    to[pixel] = full[from[at] as number] as number
    to[pixel + 1] = full[from[at + 1] as number] as number
    to[pixel + 2] = full[from[at + 2] as number] as number
    to[pixel + 3] = samples > 3 ? (full[from[at + 3] as number] as number) : 255
  }
}

/** Colours that were multiplied by their alpha, divided by it again, as PNG has them. */
function divideByAlpha(rgba: Uint8ClampedArray): void {
  for (let pixel = 0; pixel < rgba.length; pixel += 4) {
    const alpha = rgba[pixel + 3] as number
    if (alpha === 0 || alpha === 255) continue
    for (let i = pixel; i < pixel + 3; i++) rgba[i] = ((rgba[i] as number) * 255) / alpha
  }
}

/** Inks multiplied: near enough without the profile of a printer. */
function paintInks({ layout: { samples }, from, to }: Painting): void {
  for (let pixel = 0, at = 0; pixel < to.length; pixel += 4, at += samples) {
    const light = 255 - (from[at + 3] as number)
    for (let i = 0; i < 3; i++) to[pixel + i] = ((255 - (from[at + i] as number)) * light) / 255
    to[pixel + 3] = 255
  }
}

/** Grey or of a palette; a second sample of grey is its alpha. */
function paintTables({ layout: { samples, photometric }, from, to }: Painting, [red, green, blue]: Tables): void {
  const hasAlpha = samples > 1 && photometric !== 3
  for (let pixel = 0, at = 0; pixel < to.length; pixel += 4, at += samples) {
    const value = from[at] as number
    to[pixel] = red[value] as number
    to[pixel + 1] = green[value] as number
    to[pixel + 2] = blue[value] as number
    to[pixel + 3] = hasAlpha ? (from[at + 1] as number) : 255
  }
}

type Tables = [red: Uint8Array, green: Uint8Array, blue: Uint8Array]

/** 2^bits greys, from black to white or from white to black. */
function greys(bits: number, inverted: boolean): Tables {
  const last = bits >= 8 ? 255 : (1 << bits) - 1
  const table = Uint8Array.from({ length: last + 1 }, (_, i) => Math.round(((inverted ? last - i : i) * 255) / last))
  return [table, table, table]
}

/** All reds, then all greens, then all blues, of 16 bits each. */
function readPalette(directory: Directory, bits: number): Tables {
  const values = valuesOf(directory, tags.colorMap)
  const count = 1 << Math.min(bits, 8)
  const table = (channel: number) =>
    Uint8Array.from({ length: count }, (_, i) => (values[channel * count + i] ?? 0) >> 8)
  return [table(0), table(1), table(2)]
}

/**
 * Makes the first page the only one, in place, and hides the directories that its tags lead to: the library of jimp reads them
 * all first, and circles in some for ever.
 */
export function isolatePage(image: Buffer): Buffer {
  const {
    reader: { little, short, long }
  } = readDirectory(image)
  const first = long(4)
  const count = short(first)
  const write = little ? image.writeUInt16LE.bind(image) : image.writeUInt16BE.bind(image)
  for (let i = 0, at = first + 2; i < count; i++, at += 12)
    if (subdirectories.includes(short(at))) write(privateTag, at)
  const next = first + 2 + 12 * count
  if (next + 4 <= image.length) image.fill(0, next, next + 4)
  return image
}

/** SubIFDs, EXIF, GPS, interoperability, and the private data of DNG. */
const subdirectories = [330, 34_665, 34_853, 40_965, 50_740]

/** Of the range that has no meaning. */
const privateTag = 65_535

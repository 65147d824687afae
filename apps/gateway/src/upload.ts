import { disableTypes, imageSize, types } from 'image-size'
import type { FastifyRequest } from 'fastify'
import { imageTypes, type ImageType } from '@streamsight/protocol'
import { ApiError } from './errors.ts'

/** An image whose first bytes say what it is and how large its pixels will be. */
export interface Upload { image: Buffer, contentType: ImageType }

export interface UploadLimits { maxBytes: number, maxPixels: number }

/** Parts of a form beyond this are noise or an attack. */
export const maxParts = 20

/** The image of a request, however it was sent: multipart field `image`, raw body, or JSON `{"image": base64 or data URL}`. */
export async function readUpload (request: FastifyRequest, { maxBytes, maxPixels }: UploadLimits): Promise<Upload> {
  const image = await readImage(request, maxBytes)
  if (image === undefined || image.length === 0) throw new ApiError('NO_IMAGE')
  if (image.length > maxBytes) throw tooLarge(maxBytes)
  const contentType = sniff(image)
  if (contentType === undefined) throw new ApiError('UNSUPPORTED_IMAGE')
  assertDimensions({ image, contentType }, maxPixels)
  return { image, contentType }
}

export function tooLarge (maxBytes: number): ApiError {
  return new ApiError('IMAGE_TOO_LARGE', { message: `The image has more than ${maxBytes} bytes` })
}

async function readImage (request: FastifyRequest, maxBytes: number): Promise<Buffer | undefined> {
  if (request.isMultipart()) return await readPart(request, maxBytes)
  if (Buffer.isBuffer(request.body)) return request.body
  return readJson(request.body)
}

/** Reads the form to its end, so that one that was cut short is noticed. */
async function readPart (request: FastifyRequest, maxBytes: number): Promise<Buffer | undefined> {
  try {
    return await readForm(request, maxBytes)
  } catch (cause) {
    if (cause instanceof ApiError) throw cause
    // The parser has plain errors for forms without a boundary or an end; nothing but the client's bytes can cause them.
    throw new ApiError('MALFORMED_REQUEST', { message: 'The form is broken, cut short, or has too many parts', cause })
  }
}

async function readForm (request: FastifyRequest, maxBytes: number): Promise<Buffer | undefined> {
  let image: Buffer | undefined
  for await (const part of request.parts()) {
    if (part.type !== 'file') continue
    if (part.fieldname !== 'image' || image !== undefined) {
      part.file.resume()
      continue
    }
    const chunks: Buffer[] = []
    for await (const chunk of part.file) chunks.push(chunk as Buffer)
    if (part.file.truncated) throw tooLarge(maxBytes)
    image = Buffer.concat(chunks)
  }
  return image
}

function readJson (body: unknown): Buffer | undefined {
  const image = (body as { image?: unknown } | null | undefined)?.image
  if (image === undefined) return undefined
  if (typeof image !== 'string') throw new ApiError('MALFORMED_REQUEST', { message: 'Field "image" must be base64 text or a data URL' })
  const base64 = image.replace(/^data:[^,]*;base64,/, '')
  if (!/^[A-Za-z0-9+/_-]*={0,2}\s*$/.test(base64)) throw new ApiError('MALFORMED_REQUEST', { message: 'Field "image" is not base64' })
  return Buffer.from(base64, 'base64')
}

const signatures: Array<{ type: ImageType, matches: (bytes: Buffer) => boolean }> = [
  { type: 'jpeg', matches: bytes => startsWith(bytes, [0xff, 0xd8, 0xff]) },
  { type: 'png', matches: bytes => startsWith(bytes, [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]) },
  { type: 'gif', matches: bytes => /^GIF8[79]a/.test(bytes.toString('latin1', 0, 6)) },
  { type: 'webp', matches: bytes => /^RIFF....WEBP/s.test(bytes.toString('latin1', 0, 12)) },
  { type: 'tiff', matches: bytes => /^(II[*+]\0|MM\0[*+])/.test(bytes.toString('latin1', 0, 4)) },
  { type: 'bmp', matches: bytes => bytes.toString('latin1', 0, 2) === 'BM' },
  { type: 'avif', matches: isAvif }
]

/** What the first bytes say an image is. The client's content type and file name are not asked. */
export function sniff (bytes: Buffer): ImageType | undefined {
  return signatures.find(({ matches }) => matches(bytes))?.type
}

function startsWith (bytes: Buffer, signature: number[]): boolean {
  return signature.every((byte, i) => bytes[i] === byte)
}

/** An ISO media file with an AVIF brand, as its own or among those it is compatible with. */
function isAvif (bytes: Buffer): boolean {
  if (bytes.toString('latin1', 4, 8) !== 'ftyp') return false
  const brands = bytes.toString('latin1', 8, Math.min(bytes.readUInt32BE(0), 256))
  return /^(.{4})*avi[fs]/s.test(brands)
}

interface Size { width: number, height: number }

/** Refuses an image by the dimensions in its header, before anything of that size is allocated. */
function assertDimensions ({ image, contentType }: Upload, maxPixels: number): void {
  const { width, height } = dimensions(image, contentType)
  if (width * height > maxPixels) throw new ApiError('TOO_MANY_PIXELS', { message: `The image has ${width} × ${height} pixels, more than ${maxPixels}` })
}

function dimensions (image: Buffer, contentType: ImageType): Size {
  try {
    return (measures[contentType] ?? libraryMeasure)(image)
  } catch (cause) {
    throw new ApiError('UNDECODABLE_IMAGE', { message: 'The image has no readable header', cause })
  }
}

/** The library's readers of these two can be made to block this thread: 10 MB of JPEG for a second, of AVIF for 20 minutes. */
const measures: Partial<Record<ImageType, (image: Buffer) => Size>> = { jpeg: measureJpeg, avif: measureAvif }
disableTypes(types.filter(type => imageTypes.every(known => known !== type)))

function libraryMeasure (image: Buffer): Size {
  // It reads past the end of a short image. A small Buffer shares its memory with others, whose bytes would be our answer.
  return imageSize(image.length === image.buffer.byteLength ? image : new Uint8Array(image))
}

/** What the first frame header of a JPEG says. Hops over everything before it, whatever its size. */
function measureJpeg (image: Buffer): Size {
  let at = image.indexOf(0xff, 2)
  while (at !== -1) {
    const marker = image.readUInt8(at + 1)
    if (isFrame(marker)) return { height: image.readUInt16BE(at + 5), width: image.readUInt16BE(at + 7) }
    // 0xff again is filling; the others below 0xc0, and from 0xd0 to 0xd9, stand alone.
    const length = marker < 0xc0 || (marker >= 0xd0 && marker <= 0xd9) ? 0 : image.readUInt16BE(at + 2)
    at = image.indexOf(0xff, marker === 0xff ? at + 1 : at + 2 + length)
  }
  throw new Error('a JPEG without a frame header')
}

/** 0xc0 to 0xcf, but for the three among them that are tables and extensions. */
function isFrame (marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)
}

/** The largest of the sizes in an AVIF, which has one for each of its tiles and thumbnails too. One pass over its boxes. */
function measureAvif (image: Buffer): Size {
  const meta = firstBox(image, 'meta').subarray(4)
  let largest: Size = { width: 0, height: 0 }
  for (const { type, content } of boxes(firstBox(firstBox(meta, 'iprp'), 'ipco'))) {
    if (type !== 'ispe') continue
    const size = { width: content.readUInt32BE(4), height: content.readUInt32BE(8) }
    if (size.width * size.height > largest.width * largest.height) largest = size
  }
  if (largest.width === 0) throw new Error('an AVIF without a size')
  return largest
}

function firstBox (bytes: Buffer, wanted: string): Buffer {
  for (const { type, content } of boxes(bytes)) if (type === wanted) return content
  throw new Error(`no box "${wanted}"`)
}

/** The boxes of an ISO media file, or within one of them. */
function * boxes (bytes: Buffer): Generator<{ type: string, content: Buffer }> {
  for (let at = 0; at + 8 <= bytes.length;) {
    // 0 means up to the end. 1, a size of 64 bits, is for films.
    const size = bytes.readUInt32BE(at) || bytes.length - at
    if (size < 8) return
    yield { type: bytes.toString('latin1', at + 4, at + 8), content: bytes.subarray(at + 8, at + size) }
    at += size
  }
}

import type { FastifyRequest } from 'fastify'
import type { ImageType } from '@streamsight/protocol'
import { dimensions } from './dimensions.ts'
import { ApiError } from './errors.ts'

/** An image whose first bytes say what it is and how large its pixels will be. */
export interface Upload {
  image: Buffer
  contentType: ImageType
}

export interface UploadLimits {
  maxBytes: number
  maxPixels: number
}

/** Parts of a form beyond this are noise or an attack. */
export const maxParts = 20

/** The image of a request, however it was sent: multipart field `image`, raw body, or JSON `{"image": base64 or data URL}`. */
export async function readUpload(request: FastifyRequest, { maxBytes, maxPixels }: UploadLimits): Promise<Upload> {
  const image = await readImage(request, maxBytes)
  if (image === undefined || image.length === 0) throw new ApiError('NO_IMAGE')
  if (image.length > maxBytes) throw tooLarge(maxBytes)
  const contentType = sniff(image)
  if (contentType === undefined) throw new ApiError('UNSUPPORTED_IMAGE')
  assertDimensions({ image, contentType }, maxPixels)
  return { image, contentType }
}

export function tooLarge(maxBytes: number): ApiError {
  return new ApiError('IMAGE_TOO_LARGE', { message: `The image has more than ${maxBytes} bytes` })
}

async function readImage(request: FastifyRequest, maxBytes: number): Promise<Buffer | undefined> {
  if (request.isMultipart()) return await readPart(request, maxBytes)
  if (Buffer.isBuffer(request.body)) return request.body
  return readJson(request.body)
}

/** Reads the form to its end, so that one that was cut short is noticed. */
async function readPart(request: FastifyRequest, maxBytes: number): Promise<Buffer | undefined> {
  try {
    return await readForm(request, maxBytes)
  } catch (cause) {
    if (cause instanceof ApiError) throw cause
    // The parser has plain errors for forms without a boundary or an end; nothing but the client's bytes can cause them.
    throw new ApiError('MALFORMED_REQUEST', { message: 'The form is broken, cut short, or has too many parts', cause })
  }
}

async function readForm(request: FastifyRequest, maxBytes: number): Promise<Buffer | undefined> {
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

function readJson(body: unknown): Buffer | undefined {
  const image = (body as { image?: unknown } | null | undefined)?.image
  if (image === undefined) return undefined
  if (typeof image !== 'string')
    throw new ApiError('MALFORMED_REQUEST', { message: 'Field "image" must be base64 text or a data URL' })
  // Some encoders break lines every 76 characters.
  const base64 = image.replace(/^data:[^,]*;base64,/, '').replaceAll(/\s+/g, '')
  if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(base64))
    throw new ApiError('MALFORMED_REQUEST', { message: 'Field "image" is not base64' })
  return Buffer.from(base64, 'base64')
}

const signatures: Array<{ type: ImageType; matches: (bytes: Buffer) => boolean }> = [
  { type: 'jpeg', matches: bytes => startsWith(bytes, [0xff, 0xd8, 0xff]) },
  { type: 'png', matches: bytes => startsWith(bytes, [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]) },
  { type: 'gif', matches: bytes => /^GIF8[79]a/.test(bytes.toString('latin1', 0, 6)) },
  { type: 'webp', matches: bytes => /^RIFF....WEBP/s.test(bytes.toString('latin1', 0, 12)) },
  { type: 'tiff', matches: bytes => /^(II[*+]\0|MM\0[*+])/.test(bytes.toString('latin1', 0, 4)) },
  { type: 'bmp', matches: bytes => bytes.toString('latin1', 0, 2) === 'BM' },
  { type: 'avif', matches: isAvif }
]

/** What the first bytes say an image is. The client's content type and file name are not asked. */
export function sniff(bytes: Buffer): ImageType | undefined {
  return signatures.find(({ matches }) => matches(bytes))?.type
}

function startsWith(bytes: Buffer, signature: number[]): boolean {
  return signature.every((byte, i) => bytes[i] === byte)
}

/** An ISO media file with an AVIF brand, as its own or among those it is compatible with. */
function isAvif(bytes: Buffer): boolean {
  if (bytes.toString('latin1', 4, 8) !== 'ftyp') return false
  const brands = bytes.toString('latin1', 8, Math.min(bytes.readUInt32BE(0), 256))
  return /^(.{4})*avi[fs]/s.test(brands)
}

/** Refuses an image by the dimensions in its header, before anything of that size is allocated. */
function assertDimensions({ image, contentType }: Upload, maxPixels: number): void {
  const { width, height } = readDimensions(image, contentType)
  if (width * height > maxPixels)
    throw new ApiError('TOO_MANY_PIXELS', {
      message: `The image has ${width} × ${height} pixels, more than ${maxPixels}`
    })
}

function readDimensions(image: Buffer, contentType: ImageType) {
  try {
    return dimensions(image, contentType)
  } catch (cause) {
    throw new ApiError('UNDECODABLE_IMAGE', { message: 'The image has no readable header', cause })
  }
}

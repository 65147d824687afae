import type { FastifyRequest } from 'fastify'
import { FormatError, measure, pixelFault, sniff, type ImageFormat, type Measured } from '@streamsight/images'
import { ApiError } from '../errors.ts'

/** An image whose first bytes say what it is and how large its pixels will be. */
export interface Upload {
  image: Buffer
  format: ImageFormat
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
  const format = sniff(image)
  if (format === undefined) throw new ApiError('UNSUPPORTED_IMAGE')
  assertDecodable({ image, format }, maxPixels)
  return { image, format }
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

/** Refuses an image by its header, before anything of its size is allocated. */
function assertDecodable({ image, format }: Upload, maxPixels: number): void {
  const fault = pixelFault(measureHeader(image, format), maxPixels)
  if (fault !== undefined) throw new ApiError('TOO_MANY_PIXELS', { message: fault })
}

function measureHeader(image: Buffer, format: ImageFormat): Measured {
  try {
    return measure(image, format)
  } catch (error) {
    if (error instanceof FormatError) throw new ApiError('UNDECODABLE_IMAGE', { message: error.message, cause: error })
    throw error
  }
}

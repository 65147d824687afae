import { FormatError, measure, pixelFault, sniff, type ImageFormat, type Measured } from '@streamsight/images'
import { shown } from '@streamsight/service'
import { ApiError } from '../errors.ts'
import { decodeBase64 } from './base64.ts'
import { readJson } from './bounded-json.ts'
import type { Chunks } from './read-body.ts'
import { readForm, type Part, type Parts } from './read-form.ts'
import { termNames, unknownName } from './terms.ts'

/** An image whose first bytes say what it is and how large its pixels will be. */
export interface Upload {
  image: Buffer
  format: ImageFormat
  /** What else the form or the JSON says; not checked yet but for its names. */
  fields: Record<string, unknown>
}

export interface UploadLimits {
  maxBytes: number
  maxPixels: number
}

/** A body that was received, and what its sender calls it. */
export interface Body {
  chunks: Chunks
  contentType: string
  /** The parts of it, should it be a form. */
  parts: Parts
}

interface Sent {
  image: Buffer | undefined
  fields: Record<string, unknown>
}

/** A multipart form around an image, and the base64 of JSON, need more bytes than the image itself. */
const formBytes = 65_536

/** The image of a request, however it was sent: multipart field `image`, raw body, or JSON `{"image": base64 or data URL}`. */
export async function readUpload(body: Body, { maxBytes, maxPixels }: UploadLimits): Promise<Upload> {
  const { image, fields } = await readSent(body, maxBytes)
  if (image === undefined || image.length === 0) throw new ApiError('NO_IMAGE')
  if (image.length > maxBytes) throw tooLarge(maxBytes)
  const format = sniff(image)
  if (format === undefined) throw new ApiError('UNSUPPORTED_IMAGE')
  assertDecodable(image, format, maxPixels)
  return { image, format, fields }
}

export function tooLarge(maxBytes: number): ApiError {
  return new ApiError('IMAGE_TOO_LARGE', { message: `The image has more than ${maxBytes} bytes` })
}

/** The largest body of a type that can hold an image of `maxImageBytes`: base64 makes three bytes four. */
export function maxBodyBytes(maxImageBytes: number): number {
  return Math.ceil(maxImageBytes / 3) * 4 + formBytes
}

/** Anything that is no form and no JSON is an image until its first bytes say otherwise: `curl --data-binary` claims to send a form. */
async function readSent({ chunks, contentType, parts }: Body, maxBytes: number): Promise<Sent> {
  if (/^\s*multipart\/form-data/i.test(contentType)) return await sentInForm(parts, { contentType, maxBytes })
  if (/^\s*application\/json\s*(;|$)/i.test(contentType)) return await sentInJson(Buffer.concat(chunks))
  return { image: Buffer.concat(chunks), fields: {} }
}

async function sentInForm(parts: Parts, options: { contentType: string; maxBytes: number }): Promise<Sent> {
  const fields: Record<string, unknown> = {}
  let image: Buffer | undefined
  for (const part of await readForm(parts, options)) {
    if (part.name === 'image') {
      if (image !== undefined) throw malformed('The form has several images: send one a request')
      image = await imageOf(part)
    } else if (!termNames.includes(part.name)) throw unknownName('form field', part.name, ['image', ...termNames])
    else if (part.name in fields) throw malformed(`Form field ${part.name} is there twice`)
    else fields[part.name] = part.content.toString()
  }
  return { image, fields }
}

/** A part without a file name may hold the image as text; what begins as an image does is one. */
async function imageOf({ content, filename }: Part): Promise<Buffer> {
  if (filename !== undefined || sniff(content) !== undefined) return content
  const decoded = await decodeBase64(content)
  return decoded !== undefined && sniff(decoded) !== undefined ? decoded : content
}

async function sentInJson(body: Buffer): Promise<Sent> {
  const value = readJson(body)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return { image: undefined, fields: {} }
  const { image, ...fields } = value as Record<string, unknown>
  for (const [name, field] of Object.entries(fields)) {
    if (!termNames.includes(name)) throw unknownName('field', name, ['image', ...termNames])
    if (Buffer.isBuffer(field)) throw malformed(`Field ${name} is too long: ${shown(field.toString('latin1'))}`)
  }
  return { image: image === undefined ? undefined : await imageOfJson(image), fields }
}

async function imageOfJson(image: unknown): Promise<Buffer> {
  if (typeof image !== 'string' && !Buffer.isBuffer(image))
    throw malformed(`Field "image" must be base64 text or a data URL, not ${shown(image)}`)
  const decoded = await decodeBase64(image)
  if (decoded === undefined) throw malformed('Field "image" is not base64')
  return decoded
}

/** Refuses an image by its header, before anything of its size is allocated. */
function assertDecodable(image: Buffer, format: ImageFormat, maxPixels: number): void {
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

function malformed(message: string): ApiError {
  return new ApiError('MALFORMED_REQUEST', { message })
}

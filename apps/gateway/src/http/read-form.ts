import { Readable } from 'node:stream'
import { setImmediate as othersTurn } from 'node:timers/promises'
import type { FastifyRequest } from 'fastify'
import { ApiError } from '../errors.ts'
import type { Chunks } from './read-body.ts'

export interface Part {
  name: string
  filename: string | undefined
  content: Buffer
}

/** `request.parts` of @fastify/multipart. */
export type Parts = FastifyRequest['parts']

/** Parts of a form beyond this are noise or an attack. */
export const maxParts = 20

/** Bytes parsed in one go, about 1 ms; then others get their turn. */
const sliceBytes = 1_048_576

/** @fastify/multipart reads what a request sends. This is it with a body that was received, bounded and decoded already. */
export function partsOf(request: FastifyRequest, body: Chunks): Parts {
  return options => {
    const { headers } = request.raw
    const received = Object.create(request, {
      raw: { value: Object.assign(Readable.from(inTurns(body)), { headers }) },
      isMultipart: { value: () => true }
    }) as FastifyRequest
    return received.parts(options)
  }
}

/** The parts of a multipart form, each of which may have `maxBytes`. Throws MALFORMED_REQUEST where it is broken or cut short. */
export async function readForm(parts: Parts, { contentType, maxBytes }: { contentType: string; maxBytes: number }) {
  if (!/;\s*boundary=/i.test(contentType))
    throw new ApiError('MALFORMED_REQUEST', {
      message:
        'The form names no boundary: send Content-Type: multipart/form-data; boundary=…, or let your client do it'
    })
  try {
    return await parse(parts, maxBytes)
  } catch (cause) {
    // The parser has plain errors for forms with another boundary or without an end; nothing but the client's bytes can cause them.
    throw refusalOf(cause as Error & { code?: string })
  }
}

async function parse(parts: Parts, maxBytes: number): Promise<Part[]> {
  const read: Part[] = []
  // Every part as bytes: the sender's type and file name are hints at most.
  for await (const part of parts({ isPartAFile: () => true, limits: { fileSize: maxBytes, parts: maxParts } })) {
    if (part.type !== 'file') continue
    // A part may have no name at all, whatever the types say.
    read.push({
      name: (part.fieldname as string | undefined) ?? '',
      filename: part.filename,
      content: await part.toBuffer()
    })
  }
  return read
}

function refusalOf(cause: Error & { code?: string }): ApiError {
  switch (cause.code) {
    case 'FST_REQ_FILE_TOO_LARGE':
      return new ApiError('IMAGE_TOO_LARGE')
    case 'FST_PARTS_LIMIT':
      return new ApiError('MALFORMED_REQUEST', { message: `The form has more than ${maxParts} parts` })
    case 'FST_PROTO_VIOLATION':
      return new ApiError('MALFORMED_REQUEST', {
        message: 'The form has a field of an unknown name, one that every object has, such as __proto__ or constructor',
        cause
      })
    default:
      return new ApiError('MALFORMED_REQUEST', {
        message: 'The form is broken, cut short, or has another boundary',
        cause
      })
  }
}

async function* inTurns(body: Chunks): AsyncGenerator<Buffer> {
  let bytes = 0
  for (const chunk of body) {
    yield chunk
    bytes += chunk.length
    if (bytes < sliceBytes) continue
    bytes = 0
    await othersTurn()
  }
}

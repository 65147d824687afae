import { once } from 'node:events'
import { setImmediate as othersTurn } from 'node:timers/promises'
import { Busboy, type BusboyInstance } from '@fastify/busboy'
import { ApiError } from '../errors.ts'
import type { Chunks } from './read-body.ts'

export interface Part {
  name: string
  filename: string | undefined
  content: Buffer
}

/** Parts of a form beyond this are noise or an attack. */
export const maxParts = 20

/** Bytes parsed in one go, about 1 ms; then others get their turn. */
const sliceBytes = 1_048_576

/** The parts of a multipart form, each of which may have `maxBytes`. Throws MALFORMED_REQUEST where it is broken or cut short. */
export async function readForm(body: Chunks, { contentType, maxBytes }: { contentType: string; maxBytes: number }) {
  if (!/;\s*boundary=/i.test(contentType))
    throw new ApiError('MALFORMED_REQUEST', {
      message:
        'The form names no boundary: send Content-Type: multipart/form-data; boundary=…, or let your client do it'
    })
  try {
    return await parse(body, { contentType, maxBytes })
  } catch (cause) {
    if (cause instanceof ApiError) throw cause
    // The parser has plain errors for forms with another boundary or without an end; nothing but the client's bytes can cause them.
    throw new ApiError('MALFORMED_REQUEST', {
      message: 'The form is broken, cut short, or has another boundary',
      cause
    })
  }
}

async function parse(
  body: Chunks,
  { contentType, maxBytes }: { contentType: string; maxBytes: number }
): Promise<Part[]> {
  const parts: Part[] = []
  const parser = new Busboy({
    headers: { 'content-type': contentType },
    // Every part as bytes: the sender's type and file name are hints at most.
    isPartAFile: () => true,
    limits: { fileSize: maxBytes, parts: maxParts }
  })
  const done = new Promise<void>((resolve, reject) => {
    parser.on('finish', resolve)
    parser.on('error', reject)
    parser.on('partsLimit', () =>
      reject(new ApiError('MALFORMED_REQUEST', { message: `The form has more than ${maxParts} parts` }))
    )
    parser.on('file', (name, file, filename) => {
      const chunks: Buffer[] = []
      file.on('data', (chunk: Buffer) => chunks.push(chunk))
      file.on('error', reject)
      file.on('limit', () => reject(new ApiError('IMAGE_TOO_LARGE')))
      file.on('end', () => parts.push({ name, filename, content: Buffer.concat(chunks) }))
    })
  })
  // Rejected perhaps while the body is still being fed.
  done.catch(() => {})
  await feed(body, parser, done)
  await done
  return parts
}

async function feed(body: Chunks, parser: BusboyInstance, done: Promise<void>): Promise<void> {
  let bytes = 0
  for (const chunk of body) {
    if (!parser.write(chunk)) await Promise.race([once(parser, 'drain'), done])
    bytes += chunk.length
    if (bytes < sliceBytes) continue
    bytes = 0
    await othersTurn()
  }
  parser.end()
}

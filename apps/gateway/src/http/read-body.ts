import { pipeline } from 'node:stream/promises'
import { Readable } from 'node:stream'
import { createBrotliDecompress, createGunzip, createInflate, createInflateRaw } from 'node:zlib'
import { shown } from '@streamsight/service'
import { ApiError } from '../errors.ts'
import type { Place } from '../requests/admission.ts'

/** The bytes of a body in the order they came, decoded. */
export type Chunks = Buffer[]

export interface BodyTerms {
  place: Place
  /** Bytes that a body may have, encoded and decoded alike. */
  maxBytes: number
  tooLarge: () => ApiError
  /** Aborts with an ApiError when the body is not waited for any longer. */
  broken: AbortSignal
}

/** Content codings that are undone, by their names in HTTP. */
const decoders: Record<string, (first: Buffer) => NodeJS.ReadWriteStream> = {
  gzip: () => createGunzip({ chunkSize }),
  'x-gzip': () => createGunzip({ chunkSize }),
  br: () => createBrotliDecompress({ chunkSize }),
  // Some clients leave out zlib's header, which begins with 8 in its low four bits.
  deflate: first => (((first[0] ?? 0) & 0x0f) === 8 ? createInflate({ chunkSize }) : createInflateRaw({ chunkSize }))
}
const chunkSize = 65_536

export type Coding = 'identity' | keyof typeof decoders

/** The coding that a Content-Encoding header names. Throws UNSUPPORTED_ENCODING, so that nothing is read in vain. */
export function codingOf(header = ''): Coding {
  const name = header.trim().toLowerCase()
  if (name === '' || name === 'identity') return 'identity'
  if (Object.hasOwn(decoders, name)) return name
  throw new ApiError('UNSUPPORTED_ENCODING', {
    message: `Content-Encoding ${shown(header)} is not decoded: send gzip, deflate or br, or no encoding`
  })
}

/**
 * A whole body. Every byte is counted with the place as it comes in, and again as it is decoded, so that neither a large body
 * nor a small one that grows is ever held past the limits. Throws ApiErrors; what is left of the body stays unread.
 */
export async function readBody(payload: Readable, coding: Coding, terms: BodyTerms): Promise<Chunks> {
  const encoded = await receive(payload, terms)
  const decoder = decoders[coding]?.(encoded[0] ?? Buffer.alloc(0))
  if (decoder === undefined || encoded.length === 0) return encoded
  return await decode(encoded, decoder, { ...terms, coding })
}

/** With listeners, as an iterator would destroy the request when it is left, and its connection with it. */
async function receive(payload: Readable, { place, maxBytes, tooLarge, broken }: BodyTerms): Promise<Chunks> {
  const chunks: Chunks = []
  let bytes = 0
  let leave = () => {}
  try {
    await new Promise<void>((resolve, reject) => {
      const fail = () => reject(broken.reason as ApiError)
      if (broken.aborted) return fail()
      broken.addEventListener('abort', fail)
      payload.on('data', onData).once('end', resolve).once('error', onLeft)
      leave = () => {
        broken.removeEventListener('abort', fail)
        payload.off('data', onData).off('end', resolve).off('error', onLeft)
        // What comes after this, e.g. that the client hung up, is seen by the end of the exchange.
        payload.on('error', () => {})
      }

      function onLeft(cause: Error) {
        reject(new ApiError('MALFORMED_REQUEST', { message: 'The body ended before it was complete', cause }))
      }
      function onData(chunk: Buffer) {
        try {
          bytes += chunk.length
          if (bytes > maxBytes) throw tooLarge()
          place.receive(chunk.length)
          chunks.push(chunk)
        } catch (error) {
          reject(error as Error)
        }
      }
    })
  } finally {
    leave()
  }
  return chunks
}

async function decode(
  encoded: Chunks,
  decoder: NodeJS.ReadWriteStream,
  { place, maxBytes, tooLarge, coding }: BodyTerms & { coding: Coding }
): Promise<Chunks> {
  const decoded: Chunks = []
  const encodedBytes = bytesOf(encoded)
  let bytes = 0
  let refusal: unknown
  try {
    await pipeline(Readable.from(encoded), decoder, async source => {
      for await (const chunk of source as AsyncIterable<Buffer>) {
        bytes += chunk.length
        try {
          if (bytes > maxBytes) throw tooLarge()
          place.hold(encodedBytes + bytes)
        } catch (error) {
          // A pipeline that is left early rejects with what its other end makes of that.
          refusal = error
          return
        }
        decoded.push(chunk)
      }
    })
  } catch (cause) {
    if (refusal !== undefined) throw refusal
    throw new ApiError('MALFORMED_REQUEST', { message: `The body is not valid ${coding}`, cause })
  }
  if (refusal !== undefined) throw refusal
  place.hold(bytes)
  return decoded
}

export function bytesOf(chunks: Chunks): number {
  return chunks.reduce((sum, { length }) => sum + length, 0)
}

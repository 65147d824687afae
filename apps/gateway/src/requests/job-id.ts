import { createHash, randomUUID } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'

/**
 * The id of an image to classify: random, or the same for the same Idempotency-Key of the same owner for the same model, so
 * that a retry finds the first attempt. The owner is the API key; where there are none, it is everybody.
 */
export function jobIdOf(headers: IncomingHttpHeaders, model: string): string {
  const key = headers['idempotency-key']
  if (typeof key !== 'string' || key === '') return randomUUID()
  const owner = (headers.authorization ?? '').trim().replace(/^\S+\s+/, '')
  const digest = createHash('sha256')
    .update(JSON.stringify([owner, model, key]))
    .digest('hex')
  return `${digest.slice(0, 8)}-${digest.slice(8, 12)}-8${digest.slice(13, 16)}-8${digest.slice(17, 20)}-${digest.slice(20, 32)}`
}

import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'

/** Ids that are taken from clients: anything that is short and can stand in a header, a log line and a URL. */
const wellFormed = /^[\w.:/+=@-]{1,128}$/

/** The id of one HTTP exchange: the client's `x-request-id` if it is well formed, else a random one. */
export function requestIdOf({ headers }: Pick<IncomingMessage, 'headers'>): string {
  const given = headers['x-request-id']
  return typeof given === 'string' && wellFormed.test(given) ? given : randomUUID()
}

/** W3C Trace Context, version 00: the client's, for the log; undefined if there is none or it is malformed. */
export function traceparentOf({ headers }: Pick<IncomingMessage, 'headers'>): string | undefined {
  const given = headers['traceparent']
  return typeof given === 'string' && /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/.test(given)
    ? given
    : undefined
}

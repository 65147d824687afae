import { randomUUID } from 'node:crypto'
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { ApiError, errorBody } from '../errors.ts'
import type { Gateway } from '../gateway.ts'

/** How long a client may take to fetch its last answer before the connection is closed all the same. */
const flushMs = 1_000

type Reporters = Pick<Gateway, 'exchanges' | 'metrics' | 'log'>

/** What Node finds wrong with a connection: no HTTP, too slow, headers too large. Ends it, once the client was told. */
export function createConnectionErrors({ exchanges, metrics, log }: Reporters) {
  return (cause: NodeJS.ErrnoException, socket: Socket): void => {
    // The client ended its side within a request: by HTTP it has left.
    if (!socket.writable || cause.code === 'HPE_INVALID_EOF_STATE') {
      socket.destroy()
      return
    }
    const error = apiErrorOf(cause)
    const latest = exchanges.latestOn(socket)
    if (latest === undefined) refuse(error, socket)
    else if (latest.request.raw.complete) latest.whenOver(() => refuse(error, socket))
    // Whoever reads the body answers, or has done so already.
    else if (latest.reply.sent) destroyOnceFlushed(socket)
    else latest.fail(error)
  }

  /** Answers what never became a request. */
  function refuse(error: ApiError, socket: Socket): void {
    if (!socket.writable) return
    const requestId = randomUUID()
    metrics.request({ route: 'unknown', status: error.statusCode, code: error.code })
    log.debug({
      event: 'request',
      requestId,
      status: error.statusCode,
      code: error.code,
      address: socket.remoteAddress
    })
    const body = JSON.stringify(errorBody(error, requestId))
    const head = [
      `HTTP/1.1 ${error.statusCode} ${STATUS_CODES[error.statusCode]}`,
      'Content-Type: application/json; charset=utf-8',
      `Content-Length: ${Buffer.byteLength(body)}`,
      `X-Request-Id: ${requestId}`,
      'Connection: close'
    ]
    socket.write(`${head.join('\r\n')}\r\n\r\n${body}`)
    destroyOnceFlushed(socket)
  }
}

/** `end` alone leaves a connection half open for as long as the client likes. */
export function destroyOnceFlushed(socket: Socket): void {
  socket.destroySoon()
  const timer = setTimeout(() => socket.destroy(), flushMs)
  socket.once('close', () => clearTimeout(timer))
}

function apiErrorOf({ code = '' }: NodeJS.ErrnoException): ApiError {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return new ApiError('REQUEST_TIMEOUT')
  if (code === 'HPE_HEADER_OVERFLOW') return new ApiError('HEADERS_TOO_LARGE')
  return new ApiError('MALFORMED_REQUEST', { message: `Not a valid HTTP request (${code})` })
}

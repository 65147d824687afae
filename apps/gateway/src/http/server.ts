import type { Socket } from 'node:net'
import { LogController, type FastifyReply, type FastifyRequest, type FastifyServerOptions } from 'fastify'
import type { Logger } from '@streamsight/service'
import type { Config } from '../config.ts'
import { errorBody } from '../errors.ts'
import { sendError } from './error-answers.ts'
import { requestIdOf } from './predict.ts'

/** Time to receive a whole request: ten megabytes over a poor mobile connection. */
const receiveTimeoutMs = 60_000

/** What Fastify and Node's server are told before any plugin. */
export function serverOptions({ config, log }: { config: Config; log: Logger }) {
  return {
    // Fastify's own lines would only repeat ours, but for its warnings.
    loggerInstance: log.child({}, { level: log.isLevelEnabled('warn') ? 'warn' : log.level }),
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: requestIdOf,
    requestTimeout: receiveTimeoutMs,
    bodyLimit: config.MAX_IMAGE_BYTES,
    // `predict` answers in our own words while open requests finish.
    return503OnClosing: false,
    frameworkErrors: (error, request, reply) => sendError(error, request as FastifyRequest, reply as FastifyReply),
    clientErrorHandler: refuseMalformed
  } satisfies FastifyServerOptions
}

/** Answers what never became a request. */
function refuseMalformed(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable) return
  const body = JSON.stringify(
    errorBody({ code: 'MALFORMED_REQUEST', message: `Not a valid HTTP request (${error.code})` }, 'none')
  )
  socket.end(
    `HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`
  )
}

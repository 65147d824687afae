import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { fastifyPlugin } from 'fastify-plugin'
import type { Outcome } from '@streamsight/protocol'
import type { ApiError } from './errors.ts'
import type { Gateway } from './gateway.ts'
import { addressOf } from './http/clients.ts'
import { traceparentOf } from './http/request-id.ts'

declare module 'fastify' {
  interface FastifyReply {
    /** What became of the job, for the log. */
    outcome: Outcome | undefined
    /** The image to classify that this was about, for the log: several requests may ask for one. */
    jobId: string | undefined
  }
}

type Recorders = Pick<Gateway, 'exchanges' | 'metrics' | 'log'>

/** Records every request once it is over, also where the client left without an answer. */
export const requestLog = fastifyPlugin(async (app: FastifyInstance, recorders: Recorders) => {
  app.decorateReply('outcome', undefined)
  app.decorateReply('jobId', undefined)
  app.addHook('onRequest', async (request, reply) => {
    recordRequest({ request, reply }, recorders)
    // Nobody would get the answer.
    if (request.raw.socket.destroyed) return reply.hijack()
  })
})

/** Begins the exchange; one line and one count at its end, with what happened on its way. */
export function recordRequest(
  { request, reply }: { request: FastifyRequest; reply: FastifyReply },
  { exchanges, metrics, log }: Recorders
): void {
  exchanges.begin(request, reply).whenOver(() => {
    const fields = fieldsOf(request, reply)
    const { route, status, code = 'ok', ms } = fields
    metrics.request({ route, status, code, ms })
    if (reply.failure?.code === 'INTERNAL') log.error({ ...fields, err: reply.failure.cause }, 'request')
    else if (route.startsWith('/predict')) log.info(fields, 'request')
    else log.debug(fields, 'request')
  })
}

function fieldsOf(request: FastifyRequest, reply: FastifyReply) {
  const { outcome, failure, statusCode, elapsedTime } = reply
  // Nginx' number for a client that left before there was an answer: nothing was sent, or nobody was there to get it.
  const left = !reply.raw.writableFinished || Boolean(request.raw.errored)
  const traceparent = traceparentOf(request)
  return {
    event: 'request',
    requestId: request.id,
    ...(reply.jobId === undefined ? {} : { jobId: reply.jobId }),
    ...(traceparent === undefined ? {} : { traceparent }),
    address: addressOf(request),
    method: request.method,
    route: request.routeOptions.url ?? 'unknown',
    status: left ? 499 : statusCode,
    ms: Math.round(elapsedTime * 10) / 10,
    bytes: Number(request.headers['content-length'] ?? 0),
    ...codeOf({ left, failure, statusCode }),
    ...(outcome?.status === 'ok'
      ? { ...outcome.timings, batchSize: outcome.batchSize, model: outcome.model.name, engine: outcome.engine }
      : {}),
    ...(outcome ? { worker: outcome.worker, deliveries: outcome.deliveries } : {})
  }
}

/** Why a request has no good answer. In small letters what no client is ever told: it left, or it asked for our health. */
function codeOf({ left, failure, statusCode }: { left: boolean; failure: ApiError | undefined; statusCode: number }): {
  code?: string
  reason?: string
} {
  if (failure !== undefined) return { code: left ? 'client_left' : failure.code, reason: failure.message }
  if (left) return { code: 'client_left' }
  return statusCode === 503 ? { code: 'unavailable' } : {}
}

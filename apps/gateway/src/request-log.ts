import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { fastifyPlugin } from 'fastify-plugin'
import type { Outcome } from '@streamsight/protocol'
import type { Gateway } from './gateway.ts'

declare module 'fastify' {
  interface FastifyReply {
    /** What became of the job, for the log. */
    outcome: Outcome | undefined
  }
}

type Recorders = Pick<Gateway, 'metrics' | 'log'>

/** Records every request once it is over, also where the client left without an answer. */
export const requestLog = fastifyPlugin(async (app: FastifyInstance, recorders: Recorders) => {
  app.decorateReply('outcome', undefined)
  app.addHook('onRequest', async (request, reply) => {
    // Unlike Fastify's onResponse, also when the client left without an answer.
    reply.raw.once('close', () => recordRequest({ request, reply }, recorders))
  })
})

/** One line and one count for each request, with what happened to it on its way. */
function recordRequest(
  { request, reply }: { request: FastifyRequest; reply: FastifyReply },
  { metrics, log }: Recorders
): void {
  const route = request.routeOptions.url ?? 'unknown'
  const { outcome, failure, statusCode, elapsedTime } = reply
  metrics.request({ route, status: statusCode, code: failure?.code ?? 'ok', ms: elapsedTime })
  const fields = {
    event: 'request',
    requestId: request.id,
    method: request.method,
    route,
    // 499: the client left before there was an answer; nothing was sent.
    status: reply.raw.writableFinished ? statusCode : 499,
    ms: Math.round(elapsedTime * 10) / 10,
    bytes: Number(request.headers['content-length'] ?? 0),
    ...(failure ? { code: failure.code, reason: failure.message } : {}),
    ...(outcome?.status === 'ok'
      ? { ...outcome.timings, batchSize: outcome.batchSize, model: outcome.model.name, engine: outcome.engine }
      : {}),
    ...(outcome ? { worker: outcome.worker, deliveries: outcome.deliveries } : {})
  }
  if (statusCode >= 500 && failure?.code === 'INTERNAL') log.error({ ...fields, err: failure.cause }, 'request')
  else if (route.startsWith('/predict')) log.info(fields, 'request')
  else log.debug(fields, 'request')
}

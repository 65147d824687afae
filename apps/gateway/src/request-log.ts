import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from '@streamsight/service'
import type { Metrics } from './metrics.ts'

/** One line for each request, with what happened to it on its way. */
export function logRequest({
  request,
  reply,
  metrics,
  log
}: {
  request: FastifyRequest
  reply: FastifyReply
  metrics: Metrics
  log: Logger
}): void {
  const route = request.routeOptions.url ?? 'unknown'
  const { outcome, failure, statusCode, elapsedTime } = reply
  metrics.request({ route, status: statusCode, code: failure?.code ?? 'ok', ms: elapsedTime })
  const fields = {
    event: 'request',
    requestId: request.id,
    ...(reply.jobId === undefined ? {} : { jobId: reply.jobId }),
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

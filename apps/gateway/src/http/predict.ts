import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Type, type Static } from '@streamsight/schema'
import { Prediction, type Outcome, type Success } from '@streamsight/protocol'
import { ApiError } from '../errors.ts'
import type { Gateway } from '../gateway.ts'
import type { Fleet } from '../requests/fleet.ts'
import { jobIdOf } from '../requests/job-id.ts'
import { codingOf } from './read-body.ts'
import { maxBodyBytes, readUpload, tooLarge, type Body } from './read-upload.ts'
import { Terms, defaultTopK, termsOf, termsOfQuery } from './terms.ts'

const Answer = Type.Object({
  success: Type.Literal(true),
  predictions: Type.Array(Prediction, { description: 'Best first' }),
  requestId: Type.String(),
  model: Type.Object({ name: Type.String(), version: Type.String() })
})

const predictSchema = {
  summary: 'Classify an image',
  description:
    'Send the image as multipart field `image`, as raw body, or as JSON `{"image": "<base64 or data URL>"}`.',
  querystring: Terms,
  response: { 200: Answer }
}

/** POST /predict: decided before the body is read, then classified. */
export async function predictRoute(app: FastifyInstance, gateway: Gateway): Promise<void> {
  const { config, broker, admission, exchanges, metrics, overload, shutdown, target } = gateway
  const limits = { maxBytes: config.MAX_IMAGE_BYTES, maxPixels: config.MAX_IMAGE_PIXELS }
  app.post('/predict', { schema: predictSchema, onRequest: [...app.guards, admit] }, predict)

  /** Refuses what can't be answered before its body is read, and holds a place for what can until it is over. */
  async function admit(request: FastifyRequest): Promise<void> {
    if (shutdown.isRefusing()) throw new ApiError('SHUTTING_DOWN')
    const { fleet } = await staffed(termsOfQuery(request).model)
    codingOf(request.headers['content-encoding'])
    const declared = Number(request.headers['content-length'] ?? 0)
    if (declared > maxBodyBytes(config.MAX_IMAGE_BYTES)) throw tooLarge(config.MAX_IMAGE_BYTES)
    overload.refuse(fleet, declared)
    const exchange = exchanges.of(request.raw)
    const place = admission.enter({
      client: app.clientOf(request),
      retryAfterS: () => overload.retryAfterS(fleet, declared),
      cutOff: exchange.fail
    })
    exchange.whenOver(place.leave)
    request.place = place
  }

  async function predict(request: FastifyRequest, reply: FastifyReply): Promise<Static<typeof Answer>> {
    const startedMs = performance.now()
    const { image, format, fields } = await readUpload(bodyOf(request), limits)
    request.place?.hold(image.length)
    const terms = termsOf(request, fields)
    const { model, fleet } = await staffed(terms.model)
    // Many may have begun to send before the first of them was seen to wait.
    overload.refuse(fleet, image.length)
    const order = {
      id: (reply.jobId = jobIdOf(request.headers, model)),
      model,
      image,
      format,
      topK: terms.topK ?? defaultTopK,
      timeoutMs: config.REQUEST_TIMEOUT_MS,
      maxDepth: fleet.maxDepth()
    }
    const outcome = await broker
      .classify(order, clientGone(request, reply))
      .catch(error => withRetryAfter(error, { fleet, bytes: image.length }))
    reply.outcome = outcome
    const success = successOf(outcome)
    metrics.stages(success.model.name, success.timings)
    reply.header('server-timing', serverTiming(success, performance.now() - startedMs))
    return { success: true, predictions: success.predictions, requestId: request.id, model: success.model }
  }

  /** The model of that name with somebody who serves it. Throws MODEL_NOT_FOUND, BROKER_UNAVAILABLE or NO_WORKERS. */
  async function staffed(name: string | undefined) {
    const found = target(name)
    if (!broker.isUsable()) throw new ApiError('BROKER_UNAVAILABLE')
    await untilKnown(found.fleet)
    if (found.fleet.refusal() !== undefined && !found.fleet.isStaffed()) throw unseen()
    if (!found.fleet.isStaffed()) throw new ApiError('NO_WORKERS', { retryAfterS: 5 })
    return found
  }

  /** A gateway that has just started does not know its workers yet: that is waited for like Redis. */
  async function untilKnown(fleet: Fleet): Promise<void> {
    const endMs = performance.now() + config.REQUEST_TIMEOUT_MS
    while (!fleet.isKnown() && fleet.refusal() === undefined && performance.now() < endMs) {
      if (!broker.isUsable()) throw new ApiError('BROKER_UNAVAILABLE')
      await Promise.race([fleet.untilKnown(), sleep(100)])
    }
  }

  function withRetryAfter(error: unknown, { fleet, bytes }: { fleet: Fleet; bytes: number }): never {
    if (!(error instanceof ApiError && error.code === 'OVERLOADED')) throw error
    const { message, cause } = error
    throw new ApiError('OVERLOADED', { message, retryAfterS: overload.retryAfterS(fleet, bytes), cause })
  }

  /** Aborts when the client hangs up before it was answered. Fastify's own `request.signal` fires as soon as a body was read. */
  function clientGone(request: FastifyRequest, reply: FastifyReply): AbortSignal {
    const controller = new AbortController()
    exchanges.of(request.raw).whenOver(() => {
      if (!reply.raw.writableFinished) controller.abort(new Error('the client left'))
    })
    return controller.signal
  }
}

/** What was received; nothing where there was no body to parse. */
function bodyOf({ body, parts }: FastifyRequest): Body {
  return (body as Body | undefined) ?? { chunks: [], contentType: '', parts }
}

function unseen(): ApiError {
  return new ApiError('BROKER_UNAVAILABLE', {
    message: "Redis refuses to say who works, which a retry will not change; the gateway's log says why"
  })
}

function successOf(outcome: Outcome): Success {
  if (outcome.status === 'ok') return outcome
  throw new ApiError(outcome.code, { message: outcome.message })
}

function serverTiming({ timings }: Success, totalMs: number): string {
  return `queue;dur=${timings.queueMs}, decode;dur=${timings.decodeMs}, infer;dur=${timings.inferMs}, total;dur=${totalMs.toFixed(1)}`
}

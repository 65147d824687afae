import { createHash, randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Type, type Static } from 'typebox'
import type { Outcome, Success } from '@streamsight/protocol'
import { ApiError } from '../errors.ts'
import type { Gateway } from '../gateway.ts'
import type { Fleet } from '../requests/fleet.ts'
import { maxBodyBytes, readUpload, tooLarge } from './read-upload.ts'

const defaultTopK = 5

const Query = Type.Object({
  topK: Type.Optional(
    Type.Integer({ default: defaultTopK, minimum: 1, maximum: 100, description: 'Predictions wanted' })
  ),
  model: Type.Optional(Type.String({ description: 'Model to ask; the default one if left out' }))
})

const Answer = Type.Object({
  success: Type.Literal(true),
  predictions: Type.Array(
    Type.Object({
      label: Type.String(),
      probability: Type.Number({ description: '0 to 1' })
    }),
    { description: 'Best first' }
  ),
  requestId: Type.String(),
  model: Type.Object({ name: Type.String(), version: Type.String() })
})

const predictSchema = {
  summary: 'Classify an image',
  description:
    'Send the image as multipart field `image`, as raw body, or as JSON `{"image": "<base64 or data URL>"}`.',
  querystring: Query,
  response: { 200: Answer }
}

/** POST /predict: decided before the body is read, then classified. */
export async function predictRoute(app: FastifyInstance, gateway: Gateway): Promise<void> {
  const { config, broker, admission, metrics, target, isClosing } = gateway
  const limits = { maxBytes: config.MAX_IMAGE_BYTES, maxPixels: config.MAX_IMAGE_PIXELS }
  app.post('/predict', { schema: predictSchema, onRequest: [...app.guards, admit] }, predict)

  /** Refuses what can't be answered before its body is read, and holds a place for what can. */
  async function admit(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    if (isClosing()) throw new ApiError('SHUTTING_DOWN')
    const { fleet } = target((request.query as Static<typeof Query>).model)
    if (!broker.isUsable()) throw new ApiError('BROKER_UNAVAILABLE')
    if (!fleet.isStaffed()) throw new ApiError('NO_WORKERS', { retryAfterS: 5 })
    const declared = Number(request.headers['content-length'] ?? config.MAX_IMAGE_BYTES)
    if (declared > maxBodyBytes(config.MAX_IMAGE_BYTES)) throw tooLarge(config.MAX_IMAGE_BYTES)
    const leave = admission.enter(declared, fleet.retryAfterS())
    reply.raw.once('close', leave)
  }

  async function predict(request: FastifyRequest, reply: FastifyReply): Promise<Static<typeof Answer>> {
    const startedMs = performance.now()
    const { image, format } = await readUpload(request, limits)
    const { topK = defaultTopK, ...query } = request.query as Static<typeof Query>
    const { model, fleet } = target(query.model)
    const order = {
      id: request.id,
      model,
      image,
      format,
      topK,
      timeoutMs: config.REQUEST_TIMEOUT_MS,
      maxDepth: fleet.maxDepth()
    }
    const outcome = await broker.classify(order, clientGone(reply)).catch(error => withRetryAfter(error, fleet))
    reply.outcome = outcome
    const success = successOf(outcome)
    metrics.stages(success.model.name, success.timings)
    reply.header('server-timing', serverTiming(success, performance.now() - startedMs))
    return { success: true, predictions: success.predictions, requestId: request.id, model: success.model }
  }
}

function withRetryAfter(error: unknown, fleet: Fleet): never {
  if (error instanceof ApiError && error.code === 'OVERLOADED')
    throw new ApiError('OVERLOADED', { message: error.message, retryAfterS: fleet.retryAfterS(), cause: error.cause })
  throw error
}

/**
 * The id of a request, which is also its job's: random, or the same for the same Idempotency-Key of the same client to the
 * same model, so that a retry finds the first attempt's outcome.
 */
export function requestIdOf({ headers, url = '' }: Pick<IncomingMessage, 'headers' | 'url'>): string {
  const key = headers['idempotency-key']
  if (typeof key !== 'string' || key === '') return randomUUID()
  const [, model = ''] = /[?&]model=([^&]*)/.exec(url) ?? []
  const digest = createHash('sha256')
    .update(`${headers.authorization ?? ''}\n${model}\n${key}`)
    .digest('hex')
  return `${digest.slice(0, 8)}-${digest.slice(8, 12)}-8${digest.slice(13, 16)}-8${digest.slice(17, 20)}-${digest.slice(20, 32)}`
}

function successOf(outcome: Outcome): Success {
  if (outcome.status === 'ok') return outcome
  throw new ApiError(outcome.code, { message: outcome.message })
}

/** Aborts when the client hangs up before it was answered. Fastify's own `request.signal` fires as soon as a body was read. */
function clientGone(reply: FastifyReply): AbortSignal {
  const controller = new AbortController()
  const leave = () => {
    if (!reply.raw.writableFinished) controller.abort(new Error('the client left'))
  }
  if (reply.raw.closed) leave()
  else reply.raw.once('close', leave)
  return controller.signal
}

function serverTiming({ timings }: Success, totalMs: number): string {
  return `queue;dur=${timings.queueMs}, decode;dur=${timings.decodeMs}, infer;dur=${timings.inferMs}, total;dur=${totalMs.toFixed(1)}`
}

import { createHash, randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type, type Static } from 'typebox'
import { Prediction, type Outcome, type Success } from '@streamsight/protocol'
import type { Admission } from '../requests/admission.ts'
import type { Broker } from '../requests/broker.ts'
import type { Config } from '../config.ts'
import { ApiError } from '../errors.ts'
import type { Fleet, Fleets } from '../requests/fleet.ts'
import type { Metrics } from '../metrics.ts'
import { readUpload, tooLarge } from './upload.ts'

export interface PredictDependencies {
  config: Config
  broker: Broker
  fleets: Fleets
  admission: Admission
  metrics: Metrics
  isClosing: () => boolean
}

const defaultTopK = 5

const Query = Type.Object({
  topK: Type.Optional(
    Type.Integer({ default: defaultTopK, minimum: 1, maximum: 100, description: 'Predictions wanted' })
  ),
  model: Type.Optional(Type.String({ description: 'Model to ask; the default one if left out' }))
})

const Answer = Type.Object({
  success: Type.Literal(true),
  predictions: Type.Array(Prediction, { description: 'Best first' }),
  requestId: Type.String(),
  model: Type.Object({ name: Type.String(), version: Type.String() })
})

export const predictSchema = {
  summary: 'Classify an image',
  description:
    'Send the image as multipart field `image`, as raw body, or as JSON `{"image": "<base64 or data URL>"}`.',
  querystring: Query,
  response: { 200: Answer }
}

/** A multipart form around an image, and the base64 of JSON, need more bytes than the image itself. */
const formBytes = 65_536

/** POST /predict: the hook that decides before the body is read, and the handler. */
export function createPredict({ config, broker, fleets, admission, metrics, isClosing }: PredictDependencies) {
  const limits = { maxBytes: config.MAX_IMAGE_BYTES, maxPixels: config.MAX_IMAGE_PIXELS }
  const [defaultModel = ''] = fleets.keys()

  return {
    /** The model of that name, or the default one, and who serves it. Throws MODEL_NOT_FOUND. */
    target,

    /** Refuses what can't be answered before its body is read, and holds a place for what can. */
    async admit(request: FastifyRequest, reply: FastifyReply): Promise<void> {
      if (isClosing()) throw new ApiError('SHUTTING_DOWN')
      const { fleet } = target((request.query as Static<typeof Query>).model)
      if (!broker.isUsable()) throw new ApiError('BROKER_UNAVAILABLE')
      if (!fleet.isStaffed()) throw new ApiError('NO_WORKERS', { retryAfterS: 5 })
      const declared = Number(request.headers['content-length'] ?? config.MAX_IMAGE_BYTES)
      if (declared > maxBodyBytes(config.MAX_IMAGE_BYTES)) throw tooLarge(config.MAX_IMAGE_BYTES)
      const leave = admission.enter(declared, fleet.retryAfterS())
      reply.raw.once('close', leave)
    },

    async predict(request: FastifyRequest, reply: FastifyReply): Promise<Static<typeof Answer>> {
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

  function target(name: string = defaultModel): { model: string; fleet: Fleet } {
    const fleet = fleets.get(name)
    if (fleet === undefined)
      throw new ApiError('MODEL_NOT_FOUND', {
        message: `Model "${name}" is not served here; served are: ${[...fleets.keys()].join(', ')}`
      })
    return { model: name, fleet }
  }
}

function withRetryAfter(error: unknown, fleet: Fleet): never {
  if (error instanceof ApiError && error.code === 'OVERLOADED')
    throw new ApiError('OVERLOADED', { message: error.message, retryAfterS: fleet.retryAfterS(), cause: error.cause })
  throw error
}

/** The largest body that can hold an image of `maxImageBytes`: base64 makes three bytes four. */
export function maxBodyBytes(maxImageBytes: number): number {
  return Math.ceil(maxImageBytes / 3) * 4 + formBytes
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

import type { IncomingMessage } from 'node:http'
import { finished } from 'node:stream/promises'
import bearerAuth from '@fastify/bearer-auth'
import multipart from '@fastify/multipart'
import rateLimit from '@fastify/rate-limit'
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import Fastify, {
  LogController,
  type FastifyBaseLogger,
  type FastifyReply,
  type FastifyRequest,
  type onRequestHookHandler
} from 'fastify'
import type { Outcome } from '@streamsight/protocol'
import { listOf, type Logger } from '@streamsight/service'
import { adminRoutes } from './http/admin.ts'
import { createAdmission } from './requests/admission.ts'
import { createBroker } from './requests/broker.ts'
import type { Config } from './config.ts'
import { ApiError, errorBody, toApiError } from './errors.ts'
import { createFleet, type Fleets } from './requests/fleet.ts'
import { createHealth, type Health } from './http/health.ts'
import { createMetrics } from './metrics.ts'
import { modelRoutes } from './http/models.ts'
import { createPredict, maxBodyBytes, predictSchema, requestIdOf } from './http/predict.ts'
import { logRequest } from './request-log.ts'
import { maxParts } from './http/upload.ts'

declare module 'fastify' {
  interface FastifyReply {
    /** What became of the job, for the log. */
    outcome: Outcome | undefined
    /** Why it failed, for the log. */
    failure: ApiError | undefined
  }
}

/** Time to receive a whole request: ten megabytes over a poor mobile connection. */
const receiveTimeoutMs = 60_000

/** How long a refused client may go on sending before its connection is closed all the same. */
const drainMs = 10_000

export type App = Awaited<ReturnType<typeof buildApp>>

/** The gateway, ready to listen. Connects to Redis on its own and works as soon as it is there. */
export async function buildApp({ config, log }: { config: Config; log: Logger }) {
  const models = listOf(config.MODELS)
  const broker = createBroker({ url: config.REDIS_URL, prefix: config.REDIS_PREFIX, models, log })
  const fleets: Fleets = new Map(
    models.map(model => [
      model,
      createFleet({
        readWorkers: () => broker.readWorkers(model),
        readDepth: () => broker.depth(model),
        requestTimeoutMs: config.REQUEST_TIMEOUT_MS,
        maxQueueDepth: config.MAX_QUEUE_DEPTH
      })
    ])
  )
  const admission = createAdmission({ maxRequests: config.MAX_IN_FLIGHT, maxBytes: config.MAX_IN_FLIGHT_BYTES })
  const metrics = createMetrics({ broker, fleets, admission })
  let closing = false
  const isClosing = () => closing
  const health = createHealth({ broker, fleets, isClosing })
  // Fastify's own lines would only repeat ours, but for its warnings.
  const logger: FastifyBaseLogger = log.child({}, { level: log.isLevelEnabled('warn') ? 'warn' : log.level })
  const { admit, predict, target } = createPredict({ config, broker, fleets, admission, metrics, isClosing })

  const app = Fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: requestIdOf,
    requestTimeout: receiveTimeoutMs,
    bodyLimit: config.MAX_IMAGE_BYTES,
    // The hook below answers in our own words while open requests finish.
    return503OnClosing: false,
    frameworkErrors: (error, request, reply) => sendError(error, request as FastifyRequest, reply as FastifyReply),
    clientErrorHandler(error, socket) {
      if (!socket.writable) return
      const body = JSON.stringify(
        errorBody({ code: 'MALFORMED_REQUEST', message: `Not a valid HTTP request (${error.code})` }, 'none')
      )
      socket.end(
        `HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`
      )
    }
  })
  app.decorateReply('outcome', undefined)
  app.decorateReply('failure', undefined)
  app.setErrorHandler(sendError)
  app.setNotFoundHandler((request, reply) => sendError(new ApiError('NOT_FOUND'), request, reply))
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id)
    // Unlike Fastify's onResponse, also when the client left without an answer.
    reply.raw.once('close', () => logRequest({ request, reply, metrics, log }))
    // Or a body sent to nowhere would be read into memory, past admission.
    if (request.is404) throw new ApiError('NOT_FOUND')
  })
  app.addHook('onSend', async (request, reply) => {
    if (reply.failure !== undefined && !request.raw.complete) await letFinish(request.raw, reply)
    // Or the process would wait for clients that keep their connection.
    if (closing) reply.header('connection', 'close')
  })
  // Still listening, so that what arrives now is told to go elsewhere while what is open gets its answer.
  app.addHook('preClose', async () => {
    closing = true
    await admission.untilEmpty()
  })
  app.addHook('onClose', async () => {
    for (const fleet of fleets.values()) fleet.stop()
    await broker.close()
  })

  await app.register(swagger, {
    openapi: { info: { title: 'Streamsight', version: '0.1.0', description: 'Image classification' } }
  })
  await app.register(swaggerUi, { routePrefix: '/docs' })
  await app.register(multipart, {
    // A client library may leave the file name out; the field's name is what counts.
    isPartAFile: fieldName => fieldName === 'image',
    limits: { fileSize: config.MAX_IMAGE_BYTES, parts: maxParts, fieldSize: 65_536 },
    throwFileSizeLimit: false
  })
  app.removeContentTypeParser(['application/json', 'text/plain'])
  app.addContentTypeParser(
    'application/json',
    { parseAs: 'string', bodyLimit: maxBodyBytes(config.MAX_IMAGE_BYTES) },
    (_request, body, done) => {
      try {
        done(null, JSON.parse(body as string))
      } catch (cause) {
        done(new ApiError('MALFORMED_REQUEST', { message: 'The body is not JSON', cause }))
      }
    }
  )
  // Anything else is an image until its first bytes say otherwise: `curl --data-binary` claims to send a form.
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))

  app.post('/predict', { schema: predictSchema, onRequest: [...(await guards()), admit] }, predict)
  await app.register(modelRoutes, { broker, fleets, fleetOf: name => target(name).fleet })
  app.get('/health/live', { schema: { summary: 'Red when a restart would help' } }, async (_request, reply) =>
    answer(reply, health.live())
  )
  app.get('/health/ready', { schema: { summary: 'Red when requests should go elsewhere' } }, async (_request, reply) =>
    answer(reply, health.ready())
  )
  app.get('/health/startup', { schema: { summary: 'Red until it has been ready once' } }, async (_request, reply) =>
    answer(reply, health.startup())
  )
  app.get('/metrics', { schema: { hide: true } }, async (_request, reply) =>
    reply.type(metrics.contentType).send(await metrics.read())
  )

  if (config.ADMIN_TOKEN !== '')
    await app.register(adminRoutes, {
      prefix: '/admin',
      token: config.ADMIN_TOKEN,
      broker,
      modelOf: name => target(name).model
    })

  broker.start()
  for (const fleet of fleets.values()) fleet.start()
  return app

  /** Who may ask, and how often: before anything is read. */
  async function guards(): Promise<onRequestHookHandler[]> {
    const keys = listOf(config.API_KEYS)
    await app.register(bearerAuth, { keys, addHook: false, verifyErrorLogLevel: 'debug' })
    await app.register(rateLimit, { global: false })
    const limit = {
      max: config.RATE_LIMIT_PER_MINUTE,
      timeWindow: 60_000,
      // Where there are no keys, a client could invent another one for each request.
      keyGenerator: (request: FastifyRequest) => (keys.length > 0 ? bearerOf(request) : request.ip),
      errorResponseBuilder: (_request: FastifyRequest, { ttl }: { ttl: number }) =>
        new ApiError('RATE_LIMITED', { retryAfterS: Math.ceil(ttl / 1_000) })
    }
    const hooks: onRequestHookHandler[] = []
    if (keys.length > 0 && app.verifyBearerAuth) hooks.push(app.verifyBearerAuth)
    if (config.RATE_LIMIT_PER_MINUTE > 0) hooks.push(app.rateLimit(limit))
    return hooks
  }

  /**
   * Throws away what a refused client is still sending. A connection that is closed on it would be reset, and the client
   * would see that instead of the answer: one that is to be closed is drained first, any other stays open.
   */
  async function letFinish(body: IncomingMessage, reply: FastifyReply): Promise<void> {
    body.unpipe().resume()
    reply.removeHeader('connection')
    if (closing || !reply.raw.shouldKeepAlive)
      await finished(body, { signal: AbortSignal.timeout(drainMs), cleanup: true }).catch(() => {})
  }
}

/** The API key of a request that has a valid one, without the spaces that may stand around it. */
function bearerOf({ headers }: FastifyRequest): string {
  return (headers.authorization ?? '').slice('Bearer '.length).trim()
}

function answer(reply: FastifyReply, { ok, reasons }: Health) {
  return reply.code(ok ? 200 : 503).send({ status: ok ? 'ok' : 'unavailable', reasons })
}

function sendError(thrown: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const error = toApiError(thrown)
  reply.failure = error
  // Errors of Fastify itself, a broken URL say, come here past all hooks.
  reply.header('x-request-id', request.id)
  if (error.retryAfterS !== undefined) reply.header('retry-after', error.retryAfterS)
  return reply.code(error.statusCode).send(errorBody(error, request.id))
}

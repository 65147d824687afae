import bearerAuth from '@fastify/bearer-auth'
import rateLimit from '@fastify/rate-limit'
import type { FastifyInstance, FastifyRequest, onRequestHookHandler } from 'fastify'
import { fastifyPlugin } from 'fastify-plugin'
import { listOf } from '@streamsight/service'
import { ApiError } from '../errors.ts'
import type { Gateway } from '../gateway.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The hooks of a route that only some may ask, and only so often. They run before anything is read. */
    guards: onRequestHookHandler[]
  }
}

/** Who may ask, and how often. */
export const keysAndLimits = fastifyPlugin(async (app: FastifyInstance, { config }: Pick<Gateway, 'config'>) => {
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
  const guards: onRequestHookHandler[] = []
  if (keys.length > 0 && app.verifyBearerAuth) guards.push(app.verifyBearerAuth)
  if (config.RATE_LIMIT_PER_MINUTE > 0) guards.push(app.rateLimit(limit))
  app.decorate('guards', guards)
})

/** The API key of a request that has a valid one, without the spaces that may stand around it. */
function bearerOf({ headers }: FastifyRequest): string {
  return (headers.authorization ?? '').slice('Bearer '.length).trim()
}

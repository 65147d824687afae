import bearerAuth from '@fastify/bearer-auth'
import rateLimit from '@fastify/rate-limit'
import type { FastifyInstance, FastifyRequest, onRequestAsyncHookHandler } from 'fastify'
import { fastifyPlugin } from 'fastify-plugin'
import { listOf } from '@streamsight/service'
import { ApiError, toApiError } from '../errors.ts'
import type { Gateway } from '../gateway.ts'
import { addressOf, bearerOf } from './clients.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The hooks of a route that only some may ask, and only so often. They run before anything is read. */
    guards: onRequestAsyncHookHandler[]
    /** A hook that lets only bearers of one of the keys pass. */
    requireKey: (keys: string[]) => onRequestAsyncHookHandler
    /** The API key or address that a request counts for. */
    clientOf: (request: FastifyRequest) => string
  }
}

const minuteMs = 60_000

/** Keys that came from an address are remembered, at most so many. */
const maxProven = 10_000

/** Who may ask, and how often. */
export const keysAndLimits = fastifyPlugin(async (app: FastifyInstance, { config }: Pick<Gateway, 'config'>) => {
  const keys = listOf(config.API_KEYS)
  await app.register(bearerAuth, { keys, addHook: false, verifyErrorLogLevel: 'debug' })
  await app.register(rateLimit, { global: false })
  // Where there are no keys, a client could invent another one for each request.
  const clientOf: (request: FastifyRequest) => string = keys.length > 0 ? bearerOf : addressOf
  const failures = app.createRateLimit({
    max: config.MAX_FAILED_KEYS_PER_MINUTE,
    timeWindow: minuteMs,
    keyGenerator: addressOf
  })

  app.decorate('clientOf', clientOf)
  app.decorate('requireKey', requireKey)
  const guards: onRequestAsyncHookHandler[] = []
  if (keys.length > 0) guards.push(requireKey(keys))
  if (config.RATE_LIMIT_PER_MINUTE > 0) guards.push(limitRate(config.RATE_LIMIT_PER_MINUTE))
  app.decorate('guards', guards)

  function limitRate(max: number): onRequestAsyncHookHandler {
    return app.rateLimit({
      max,
      timeWindow: minuteMs,
      keyGenerator: clientOf,
      errorResponseBuilder: (_request, { ttl }) => new ApiError('RATE_LIMITED', { retryAfterS: Math.ceil(ttl / 1_000) })
    }) as onRequestAsyncHookHandler
  }

  /**
   * Wrong keys are counted for each address. Beyond the limit no key is tried that has not been right from there before: nobody
   * learns by guessing, and nobody else at the same address, behind a proxy perhaps, is shut out.
   */
  function requireKey(keys: string[]): onRequestAsyncHookHandler {
    const verify = app.verifyBearerAuthFactory?.({
      keys,
      addHook: false,
      verifyErrorLogLevel: 'debug',
      specCompliance: 'rfc6749'
    })
    if (verify === undefined) throw new Error('@fastify/bearer-auth is not there')
    const proven = new Set<string>()

    return async function (request, reply) {
      const attempt = `${addressOf(request)} ${bearerOf(request)}`
      const before = await failures(request, { increment: false })
      if (isOver(before) && !proven.has(attempt)) throw tooManyFailures(before)
      const error = await new Promise<Error | undefined>(resolve => verify.call(app, request, reply, resolve))
      if (error === undefined) return remember(attempt)
      await failures(request)
      throw toApiError(error)
    }

    function remember(attempt: string) {
      if (proven.size >= maxProven) proven.clear()
      proven.add(attempt)
    }
  }

  function isOver(count: Awaited<ReturnType<typeof failures>>): boolean {
    return !count.isAllowed && count.remaining === 0
  }

  function tooManyFailures(count: Awaited<ReturnType<typeof failures>>): ApiError {
    const retryAfterS = count.isAllowed ? 1 : Math.max(1, count.ttlInSeconds)
    return new ApiError('RATE_LIMITED', { message: 'Too many wrong API keys from this address', retryAfterS })
  }
})

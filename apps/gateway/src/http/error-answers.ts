import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { fastifyPlugin } from 'fastify-plugin'
import { ApiError, errorBody, toApiError } from '../errors.ts'
import { violationError } from './terms.ts'

declare module 'fastify' {
  interface FastifyReply {
    /** Why the request failed, for the log. */
    failure: ApiError | undefined
  }
}

/** Every error leaves by the one table, with the id of its request. Registered before the routes, whose methods it learns. */
export const errorAnswers = fastifyPlugin(async (app: FastifyInstance) => {
  const routes: Array<{ pattern: RegExp; method: string }> = []
  app.addHook('onRoute', ({ url, method }) => {
    if (url !== '*') for (const each of [method].flat()) routes.push({ pattern: patternOf(url), method: each })
  })
  app.decorateReply('failure', undefined)
  app.setErrorHandler(sendError)
  app.setSchemaErrorFormatter(violationError)
  app.setNotFoundHandler(() => {
    throw new ApiError('NOT_FOUND')
  })
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id)
    // Reject unknown routes here: otherwise Fastify buffers the body before admission control can refuse it.
    if (request.is404) throw notFound(request, reply)
  })

  function notFound({ url, method }: FastifyRequest, reply: FastifyReply): ApiError {
    const [path = ''] = url.split('?')
    const allowed = [...new Set(routes.filter(({ pattern }) => pattern.test(path)).map(route => route.method))]
    if (allowed.length === 0) return new ApiError('NOT_FOUND')
    reply.header('allow', allowed.toSorted().join(', '))
    return new ApiError('METHOD_NOT_ALLOWED', {
      message: `${method} is not possible here; possible: ${allowed.toSorted().join(', ')}`
    })
  }
})

/** Matches what the router matches: `:name` is a step of the path, `*` the rest of it. */
function patternOf(url: string): RegExp {
  const escaped = url.replaceAll(/[.+?^${}()|[\]\\]/g, String.raw`\$&`)
  return new RegExp(`^${escaped.replaceAll(/:[^/]+/g, '[^/]+').replaceAll('*', '.*')}$`)
}

export function sendError(thrown: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const error = toApiError(thrown)
  reply.failure = error
  // Errors of Fastify itself, e.g. a broken URL, come here past all hooks.
  reply.header('x-request-id', request.id)
  if (error.statusCode === 401) reply.header('www-authenticate', 'Bearer realm="streamsight"')
  if (error.retryAfterS !== undefined) reply.header('retry-after', error.retryAfterS)
  return reply.code(error.statusCode).send(errorBody(error, request.id))
}

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { fastifyPlugin } from 'fastify-plugin'
import { ApiError, errorBody, toApiError } from '../errors.ts'

declare module 'fastify' {
  interface FastifyReply {
    /** Why the request failed, for the log. */
    failure: ApiError | undefined
  }
}

/** Every error leaves by the one table, with the id of its request. */
export const errorAnswers = fastifyPlugin(async (app: FastifyInstance) => {
  app.decorateReply('failure', undefined)
  app.setErrorHandler(sendError)
  app.setNotFoundHandler((request, reply) => sendError(new ApiError('NOT_FOUND'), request, reply))
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id)
    // Reject unknown routes here: otherwise Fastify buffers the body before admission control can refuse it.
    if (request.is404) throw new ApiError('NOT_FOUND')
  })
})

export function sendError(thrown: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const error = toApiError(thrown)
  reply.failure = error
  // Errors of Fastify itself, e.g. a broken URL, come here past all hooks.
  reply.header('x-request-id', request.id)
  if (error.retryAfterS !== undefined) reply.header('retry-after', error.retryAfterS)
  return reply.code(error.statusCode).send(errorBody(error, request.id))
}

import fastifyCors from '@fastify/cors'
import type { FastifyInstance } from 'fastify'
import { fastifyPlugin } from 'fastify-plugin'
import { listOf } from '@streamsight/service'
import type { Gateway } from '../gateway.ts'

/** How long a browser may remember what it was allowed: the longest that Chromium takes, in seconds. */
const preflightMaxAgeS = 7_200

/** Lets pages of other origins ask. Registered only where CORS_ORIGINS names some. */
export const cors = fastifyPlugin(async (app: FastifyInstance, { config }: Pick<Gateway, 'config'>) => {
  const origins = listOf(config.CORS_ORIGINS)
  await app.register(fastifyCors, {
    origin: origins.includes('*') ? '*' : origins,
    methods: ['GET', 'HEAD', 'POST', 'DELETE'],
    exposedHeaders: ['x-request-id', 'server-timing', 'retry-after', 'x-ratelimit-remaining', 'x-ratelimit-reset'],
    maxAge: preflightMaxAgeS
  })
})

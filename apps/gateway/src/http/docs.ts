import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'
import { fastifyPlugin } from 'fastify-plugin'

/** The interface as OpenAPI, made from the schemas of all routes registered after it. */
export const apiDocs = fastifyPlugin(async (app: FastifyInstance) => {
  await app.register(swagger, {
    openapi: { info: { title: 'Streamsight', version: '0.1.0', description: 'Image classification' } }
  })
  await app.register(swaggerUi, { routePrefix: '/docs' })
})

import type { FastifyInstance } from 'fastify'
import type { Gateway } from '../gateway.ts'

export async function metricsRoute(app: FastifyInstance, { metrics }: Pick<Gateway, 'metrics'>): Promise<void> {
  app.get('/metrics', { schema: { hide: true } }, async (_request, reply) =>
    reply.type(metrics.contentType).send(await metrics.read())
  )
}

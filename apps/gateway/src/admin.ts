import bearerAuth from '@fastify/bearer-auth'
import type { FastifyInstance } from 'fastify'
import { Type, type Static } from 'typebox'
import type { Broker } from './broker.ts'
import { ApiError } from './errors.ts'

const Query = Type.Object({ limit: Type.Integer({ default: 100, minimum: 1, maximum: 1_000 }) })
const Params = Type.Object({ entry: Type.String({ pattern: '^\\d+-\\d+$', description: 'Id of the entry, as the list gives it' }) })

/** What an operator can do with dead letters. Registered only where ADMIN_TOKEN is set. */
export async function adminRoutes (app: FastifyInstance, { token, broker }: { token: string, broker: Pick<Broker, 'deadLetters' | 'isUsable'> }): Promise<void> {
  await app.register(bearerAuth, { keys: [token], addHook: false, verifyErrorLogLevel: 'debug' })
  if (app.verifyBearerAuth) app.addHook('onRequest', app.verifyBearerAuth)

  app.addHook('onRequest', async () => { if (!broker.isUsable()) throw new ApiError('BROKER_UNAVAILABLE') })
  const { deadLetters } = broker

  app.get('/dead-letters', { schema: { summary: 'Jobs that were given up, the latest first', querystring: Query } }, async request => {
    const { limit } = request.query as Static<typeof Query>
    return { deadLetters: await deadLetters.list(limit) }
  })

  app.get('/dead-letters/:entry', { schema: { summary: 'One of them', params: Params } }, async request => {
    const found = await deadLetters.get((request.params as Static<typeof Params>).entry)
    if (found === undefined) throw new ApiError('NOT_FOUND', { message: 'There is no such dead letter' })
    return found
  })

  app.delete('/dead-letters/:entry', { schema: { summary: 'Forget one of them', params: Params } }, async (request, reply) => {
    const removed = await deadLetters.remove((request.params as Static<typeof Params>).entry)
    if (!removed) throw new ApiError('NOT_FOUND', { message: 'There is no such dead letter' })
    return await reply.code(204).send()
  })
}

import bearerAuth from '@fastify/bearer-auth'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Type, type Static } from 'typebox'
import { ApiError } from '../errors.ts'
import type { Gateway } from '../gateway.ts'

const Model = Type.Object({
  model: Type.Optional(Type.String({ description: 'Model whose dead letters are meant; the default one if left out' }))
})
const List = Type.Object({ ...Model.properties, limit: Type.Integer({ default: 100, minimum: 1, maximum: 1_000 }) })
const Params = Type.Object({
  entry: Type.String({ pattern: '^\\d+-\\d+$', description: 'Id of the entry, as the list gives it' })
})

/** What an operator can do with dead letters. Registered only where ADMIN_TOKEN is set. */
export async function adminRoutes(
  app: FastifyInstance,
  { config, broker, target }: Pick<Gateway, 'config' | 'broker' | 'target'>
): Promise<void> {
  await app.register(bearerAuth, { keys: [config.ADMIN_TOKEN], addHook: false, verifyErrorLogLevel: 'debug' })
  if (app.verifyBearerAuth) app.addHook('onRequest', app.verifyBearerAuth)

  app.addHook('onRequest', async () => {
    if (!broker.isUsable()) throw new ApiError('BROKER_UNAVAILABLE')
  })
  const lettersOf = ({ query }: FastifyRequest) =>
    broker.deadLetters(target((query as Static<typeof Model>).model).model)

  app.get(
    '/dead-letters',
    { schema: { summary: 'Jobs that were given up, the latest first', querystring: List } },
    async request => {
      const { limit } = request.query as Static<typeof List>
      return { deadLetters: await lettersOf(request).list(limit) }
    }
  )

  app.get(
    '/dead-letters/:entry',
    { schema: { summary: 'One of them', params: Params, querystring: Model } },
    async request => {
      const found = await lettersOf(request).get((request.params as Static<typeof Params>).entry)
      if (found === undefined) throw new ApiError('NOT_FOUND', { message: 'There is no such dead letter' })
      return found
    }
  )

  app.delete(
    '/dead-letters/:entry',
    { schema: { summary: 'Forget one of them', params: Params, querystring: Model } },
    async (request, reply) => {
      const removed = await lettersOf(request).remove((request.params as Static<typeof Params>).entry)
      if (!removed) throw new ApiError('NOT_FOUND', { message: 'There is no such dead letter' })
      return await reply.code(204).send()
    }
  )
}

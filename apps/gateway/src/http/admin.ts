import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Type, type Static } from '@streamsight/schema'
import { ApiError } from '../errors.ts'
import type { Gateway } from '../gateway.ts'

const strict = { additionalProperties: false }
const Model = Type.Object(
  {
    model: Type.Optional(
      Type.String({ description: 'Model whose dead letters are meant; the default one if left out' })
    )
  },
  strict
)
const List = Type.Object(
  { ...Model.properties, limit: Type.Integer({ default: 100, minimum: 1, maximum: 1_000 }) },
  strict
)
const Params = Type.Object({
  entry: Type.String({ pattern: '^\\d{1,20}-\\d{1,20}$', description: 'Id of the entry, as the list gives it' })
})

/** The largest of each half of an entry's id, which Redis keeps in 64 bits. */
const maxHalf = 2n ** 64n - 1n

/** What an operator can do with dead letters. Registered only where ADMIN_TOKEN is set. */
export async function adminRoutes(
  app: FastifyInstance,
  { config, broker, target }: Pick<Gateway, 'config' | 'broker' | 'target'>
): Promise<void> {
  app.addHook('onRequest', app.requireKey([config.ADMIN_TOKEN]))

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
      const found = await lettersOf(request).get(entryOf(request))
      if (found === undefined) throw noSuchLetter()
      return found
    }
  )

  app.delete(
    '/dead-letters/:entry',
    { schema: { summary: 'Forget one of them', params: Params, querystring: Model } },
    async (request, reply) => {
      const removed = await lettersOf(request).remove(entryOf(request))
      if (!removed) throw noSuchLetter()
      return await reply.code(204).send()
    }
  )
}

/** Throws NOT_FOUND for an id that no entry can have. */
function entryOf({ params }: FastifyRequest): string {
  const { entry } = params as Static<typeof Params>
  if (entry.split('-').some(half => BigInt(half) > maxHalf)) throw noSuchLetter()
  return entry
}

function noSuchLetter(): ApiError {
  return new ApiError('NOT_FOUND', { message: 'There is no such dead letter' })
}

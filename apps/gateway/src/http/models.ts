import type { FastifyInstance } from 'fastify'
import { Type, type Static } from '@streamsight/schema'
import { ModelDescription } from '@streamsight/protocol'
import { ApiError } from '../errors.ts'
import type { Gateway } from '../gateway.ts'
import { ServedModel, servedModels } from './served-models.ts'

const List = Type.Object({ models: Type.Array(ServedModel) })

const { name: _name, versions: _versions, ...ofVersion } = ServedModel.properties

const Details = Type.Object({
  name: Type.String(),
  versions: Type.Array(Type.Object({ ...ofVersion, ...Type.Partial(ModelDescription).properties }))
})

const Params = Type.Object({ name: Type.String({ description: 'One of those that GET /models lists' }) })

/** Descriptions kept, at 45 KB for a model of 1,000 classes. More than a roll-out of every model at once needs. */
const maxKept = 64

/** What is served, and everything that a client may know of one model. */
export async function modelRoutes(
  app: FastifyInstance,
  { broker, fleets, target }: Pick<Gateway, 'broker' | 'fleets' | 'target'>
): Promise<void> {
  const kept = new Map<string, ModelDescription>()

  app.get(
    '/models',
    { schema: { summary: 'What is served, and by how many workers', response: { 200: List } } },
    async (): Promise<Static<typeof List>> => ({
      models: servedModels([...fleets.values()].flatMap(fleet => fleet.ready())).map(({ model }) => model)
    })
  )

  app.get(
    '/models/:name',
    { schema: { summary: 'A model with its labels and preprocessing', params: Params, response: { 200: Details } } },
    async (request): Promise<Static<typeof Details>> => {
      const { name } = request.params as Static<typeof Params>
      const served = servedModels(target(name).fleet.ready())
      const versions = await Promise.all(
        served.map(async ({ model: { name: _name, versions: _versions, ...own }, about }) => ({
          ...own,
          ...(await describe(name, about))
        }))
      )
      return { name, versions }
    }
  )

  /** Undefined where a worker has not written it yet. Read once: what a digest stands for never changes. */
  async function describe(model: string, digest: string): Promise<ModelDescription | undefined> {
    const known = kept.get(digest)
    if (known !== undefined) return known
    const read = await broker.readDescription(model, digest).catch((cause: unknown) => {
      throw new ApiError('BROKER_UNAVAILABLE', { cause })
    })
    if (read === undefined) return undefined
    const [oldest] = kept.keys()
    if (kept.size >= maxKept && oldest !== undefined) kept.delete(oldest)
    kept.set(digest, read)
    return read
  }
}

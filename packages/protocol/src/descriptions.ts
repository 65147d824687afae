import { createHash } from 'node:crypto'
import { Compile, Type, type Static } from '@streamsight/schema'
import type { Connection } from './connection.ts'
import { limits } from './limits.ts'
import type { ModelKeys } from './names.ts'

const asInManifest = { additionalProperties: true }

/** What clients may know of a model. With 1,000 classes it has 45 KB, too much for a heartbeat once a second. */
export const ModelDescription = Type.Object({
  license: Type.String(),
  source: Type.String({ description: 'Where the weights come from' }),
  preprocessing: Type.Object({}, { ...asInManifest, description: 'How pixels become the input, as in the manifest' }),
  assumed: Type.Array(Type.String(), { description: 'Settings that were neither read from the model nor given' }),
  artifacts: Type.Array(Type.Object({ format: Type.String(), precision: Type.String() }, asInManifest)),
  labels: Type.Array(Type.Object({ label: Type.String(), id: Type.Optional(Type.String()) }), {
    description: 'In index order'
  })
})
export type ModelDescription = Static<typeof ModelDescription>

const schema = Compile(ModelDescription)

/** The name under which a description is kept. Made of what it says, so that what was read once never changes. */
export function digestOf(description: ModelDescription): string {
  return createHash('sha256').update(JSON.stringify(description)).digest('hex').slice(0, 16)
}

/** Keeps the description in Redis for as long as a silent worker is remembered; sends it only where it is missing. */
export async function keepDescribed(
  commands: Connection,
  keys: ModelKeys,
  description: ModelDescription
): Promise<void> {
  const key = keys.about(digestOf(description))
  if (await commands.extendLife(key, limits.workerForgottenMs)) return
  await commands.keepText(key, JSON.stringify(description), limits.workerForgottenMs)
}

/** The description of that digest; undefined if its workers are gone, or have not written it yet. */
export async function readDescription(
  commands: Connection,
  keys: ModelKeys,
  digest: string
): Promise<ModelDescription | undefined> {
  const text = await commands.textOf(keys.about(digest))
  const value: unknown = text === undefined ? undefined : JSON.parse(text)
  return schema.Check(value) ? value : undefined
}

import { Type, type Static } from '@streamsight/schema'
import type { SeenWorker } from '@streamsight/protocol'

export const ServedModel = Type.Object({
  name: Type.String(),
  version: Type.String(),
  versions: Type.Array(Type.String(), {
    description: 'All that are served under this name; requests are answered by any of them'
  }),
  classes: Type.Integer(),
  input: Type.Object({ width: Type.Integer(), height: Type.Integer() }),
  engines: Type.Array(Type.String()),
  precisions: Type.Array(
    Type.Object({
      precision: Type.String({ description: 'Of the weights that run: float32, float16 or int8' }),
      reason: Type.String({ description: 'int8: avx512_vnni found' })
    })
  ),
  workers: Type.Integer()
})
export type ServedModel = Static<typeof ServedModel>

/** What the ready workers serve: one entry for each version, with its description's digest. A roll-out has two. */
export function servedModels(workers: SeenWorker[]): Array<{ model: ServedModel; about: string }> {
  const served = new Map<string, { model: ServedModel; about: string }>()
  for (const { model, engine, precision, precisionReason } of workers) {
    const key = `${model.name} ${model.version}`
    const entry = served.get(key) ?? { model: begin(model, workers), about: model.about }
    const { engines, precisions } = entry.model
    entry.model.workers++
    if (!engines.includes(engine)) engines.push(engine)
    if (!precisions.some(known => known.precision === precision && known.reason === precisionReason))
      precisions.push({ precision, reason: precisionReason })
    served.set(key, entry)
  }
  return [...served.values()]
}

function begin({ name, version, classes, width, height }: SeenWorker['model'], workers: SeenWorker[]): ServedModel {
  const all = workers.filter(({ model }) => model.name === name).map(({ model }) => model.version)
  return {
    name,
    version,
    versions: [...new Set(all)].toSorted(),
    classes,
    input: { width, height },
    engines: [],
    precisions: [],
    workers: 0
  }
}

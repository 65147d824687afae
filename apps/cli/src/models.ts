import { listModels, ModelError, openModel, type Model } from '@streamsight/models'
import { nearestNames } from '@streamsight/service'

/** The model of this name. Throws a ModelError that says what there is, and what may have been meant. */
export async function openListed(name: string, modelsDir: string): Promise<Model> {
  await assertListed(name, modelsDir)
  return await openModel(modelsDir, name)
}

/** Throws a ModelError unless there is a directory of this name with a manifest, whole or broken. */
export async function assertListed(name: string, modelsDir: string): Promise<void> {
  const names = (await listModels(modelsDir)).map(listed => listed.name)
  if (names.includes(name)) return
  const [near] = nearestNames(name, names)
  throw new ModelError(
    `no model "${name}" in ${modelsDir}${near === undefined ? '.' : `: did you mean "${near}"?`} There is ${names.join(', ') || 'none'}.`
  )
}

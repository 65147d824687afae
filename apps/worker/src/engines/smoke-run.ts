import { ModelError, activationOf, type Artifact, type Manifest } from '@streamsight/models'
import type { Engine } from './engine.ts'
import { faultOf } from '../scores.ts'
import { createImageWriter } from '../tensor.ts'

/**
 * Runs one picture, and finds what the model's file does not declare: that it gives as many scores as the manifest has classes, and
 * that these are what the manifest says. Throws an error with both numbers, or what the engine throws.
 */
export async function tryOut(engine: Engine, model: { manifest: Manifest; artifact: Artifact }): Promise<void> {
  await runPictures(engine, model, engine.batchSizes.kind === 'fixed' ? engine.batchSizes.size : 1)
}

/** The same with `size` pictures at once. */
export async function runPictures(
  engine: Engine,
  { manifest, artifact }: { manifest: Manifest; artifact: Artifact },
  size: number
): Promise<void> {
  const { input, output } = manifest
  const values = input.width * input.height * 3
  // Of many colours: a plain picture would be divided by a deviation of 0 where a model normalizes by itself.
  const picture = Uint8Array.from({ length: values }, (_, i) => (i * 89) % 256)
  const batch = new Float32Array(size * values)
  const writeImage = createImageWriter(input, artifact.layout)
  for (let index = 0; index < size; index++) writeImage(picture, batch, index)

  const scores = await engine.run(batch, size)
  if (scores.length !== size * output.classes) {
    throw new ModelError(
      `${artifact.path}: gives ${scores.length} scores for ${size === 1 ? 'one image' : `${size} images`}; the manifest says ${output.classes} classes (field "output.classes")`
    )
  }
  const fault = faultOf(scores.subarray(0, output.classes), activationOf(manifest, artifact))
  // Perhaps it is the engine that is at fault: another may do.
  if (fault !== undefined) throw new Error(`${artifact.path}: ${fault}`)
}

/**
 * A program of its own: runs a model that is being imported on every artifact that it has, as a worker would, and says what is
 * wrong. Started with the folder of models and the model's name; answers with one line of JSON. Whoever starts it bounds its time
 * and memory: a native library may do anything with a file that was made to harm it.
 */
import { argv, exit, stdout } from 'node:process'
import { openModel, ModelError, type Artifact, type Model } from '@streamsight/models'
import { chooseEngine } from './engines/choose.ts'
import { runPictures } from './engines/smoke-run.ts'

/** Why a model can't be served; absent if it can. */
export interface TrialAnswer {
  fault?: string
}

/** One picture alone, and more at once than any graph fixes by accident. */
const batches = [1, 3]

async function main(): Promise<TrialAnswer> {
  const [modelsDir = '', name = ''] = argv.slice(2)
  const model = await openModel(modelsDir, name)
  for (const artifact of model.manifest.artifacts) await tryArtifact(model, artifact)
  return {}
}

/** Opens it, which runs one picture and checks its scores, and then runs more at once. */
async function tryArtifact(model: Model, artifact: Artifact): Promise<void> {
  const alone = { ...model, manifest: { ...model.manifest, artifacts: [artifact] } }
  const choice = artifact.format === 'onnx' ? 'onnx-cpu' : 'tfjs-wasm'
  const { engine } = await chooseEngine({ model: alone, choice, threads: 1 })
  try {
    const sizes = engine.batchSizes.kind === 'fixed' ? [engine.batchSizes.size] : batches
    for (const size of sizes)
      await tryBatch(size, () => runPictures(engine, { manifest: model.manifest, artifact }, size))
  } finally {
    await engine.close()
  }
}

async function tryBatch(size: number, run: () => Promise<void>): Promise<void> {
  try {
    await run()
  } catch (error) {
    if (error instanceof ModelError || size === 1) throw error
    throw new ModelError(
      `runs one picture, but not ${size} at once: something in its graph fixes the batch to 1 (a Reshape or view with a number where -1 or the batch belongs); export it with a dynamic batch, or with a batch of exactly 1 as its input's shape (${firstLine(error)})`
    )
  }
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? ''
}

const answer = await main().catch((error: unknown): TrialAnswer => ({ fault: firstLine(error) }))
stdout.write(`${JSON.stringify(answer)}\n`)
// A library's own threads would keep the process.
exit(0)

import { verifyArtifact, type Artifact, type Model } from '@streamsight/models'
import { engineNames, type Engine, type EngineChoice, type EngineName } from '../engine.ts'

/** An engine that was considered and why it was not taken. */
export interface Rejected { engine: EngineName, reason: string }

export interface Chosen { engine: Engine, name: EngineName, artifact: Artifact, rejected: Rejected[] }

export interface ChooseOptions { model: Model, choice: EngineChoice, threads: number }

/**
 * The first engine of those that `choice` allows which can run an artifact of this model here. Throws an error with the
 * reason of each if none can.
 */
export async function chooseEngine ({ model, choice, threads }: ChooseOptions): Promise<Chosen> {
  const rejected: Rejected[] = []
  for (const name of candidates(choice)) {
    const artifact = model.manifest.artifacts.find(({ format }) => format.startsWith(libraryOf(name)))
    if (artifact === undefined) {
      rejected.push({ engine: name, reason: `the model has no ${libraryOf(name)} artifact` })
      continue
    }
    // Outside the try: a damaged file is an error to report, not a reason to serve something else quietly.
    await verifyArtifact(model, artifact)
    try {
      return { engine: await open({ model, artifact, name, threads }, choice === 'auto'), name, artifact, rejected }
    } catch (error) {
      rejected.push({ engine: name, reason: firstLine(error) })
    }
  }
  throw new Error(`ENGINE=${choice} can't run model "${model.manifest.name}" here: ${rejected.map(({ engine, reason }) => `${engine}: ${reason}`).join('; ')}`)
}

function candidates (choice: EngineChoice): EngineName[] {
  return engineNames.filter(name => choice === 'auto' || choice === name || choice === libraryOf(name))
}

function libraryOf (name: EngineName): 'tfjs' | 'onnx' {
  return name.startsWith('tfjs') ? 'tfjs' : 'onnx'
}

/** Libraries are imported only when their turn comes: a native binding that is absent is a reason, not a crash. */
async function open (options: { model: Model, artifact: Artifact, name: EngineName, threads: number }, needsGpu: boolean): Promise<Engine> {
  if (libraryOf(options.name) === 'onnx') return await (await import('./onnx.ts')).openOnnx(options)
  const { isOnGpu, openTfjs } = await import('./tfjs.ts')
  const engine = await openTfjs(options)
  if (options.name === 'tfjs-node-gpu' && needsGpu && !isOnGpu()) {
    await engine.close()
    throw new Error('installed, but TensorFlow found no CUDA device')
  }
  return engine
}

function firstLine (error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  return message.split('\n')[0] ?? message
}

import { ModelError, verifyArtifact, type Artifact, type Model } from '@streamsight/models'
import { engineNames, type Engine, type EngineChoice, type EngineName, type EngineOptions } from './engine.ts'
import { tryOut } from './smoke-run.ts'

/** An engine that was considered and why it was not taken. */
export interface Rejected {
  engine: EngineName
  reason: string
}

export interface Chosen {
  engine: Engine
  name: EngineName
  artifact: Artifact
  rejected: Rejected[]
}

export interface ChooseOptions {
  model: Model
  choice: EngineChoice
  threads: number
}

/**
 * The first engine of those that `choice` allows which can run an artifact of this model here. Throws an error with the
 * reason of each if none can.
 */
export async function chooseEngine({ model, choice, threads }: ChooseOptions): Promise<Chosen> {
  const rejected: Rejected[] = []
  for (const name of candidates(choice)) {
    const artifact = model.manifest.artifacts.find(({ format }) => format.startsWith(libraryOf(name)))
    if (artifact === undefined) {
      rejected.push({ engine: name, reason: `the model has no ${libraryOf(name)} artifact` })
      continue
    }
    await verifyArtifact(model, artifact)
    try {
      return { engine: await open({ model, artifact, name, threads }, choice === 'auto'), name, artifact, rejected }
    } catch (error) {
      // A file that is damaged or not what the manifest says is an error to report, no reason to serve something else quietly.
      if (error instanceof ModelError) throw error
      rejected.push({ engine: name, reason: firstLine(error) })
    }
  }
  throw new Error(
    `ENGINE=${choice} can't run model "${model.manifest.name}" here: ${rejected.map(({ engine, reason }) => `${engine}: ${reason}`).join('; ')}`
  )
}

function candidates(choice: EngineChoice): EngineName[] {
  return engineNames.filter(name => choice === 'auto' || choice === name || choice === libraryOf(name))
}

function libraryOf(name: EngineName): 'tfjs' | 'onnx' {
  return name.startsWith('tfjs') ? 'tfjs' : 'onnx'
}

/** An engine that has answered once. */
async function open(options: EngineOptions, needsGpu: boolean): Promise<Engine> {
  const engine = await load(options)
  try {
    if (options.name === 'tfjs-node-gpu' && needsGpu && !(await import('./tfjs.ts')).isOnGpu())
      throw new Error('installed, but TensorFlow found no CUDA device')
    await tryOut(engine, { manifest: options.model.manifest, artifact: options.artifact })
    return engine
  } catch (error) {
    await engine.close()
    throw error
  }
}

/** Libraries are imported only when their turn comes: a native binding that is absent is a reason, not a crash. */
async function load(options: EngineOptions): Promise<Engine> {
  return libraryOf(options.name) === 'onnx'
    ? await (await import('./onnx.ts')).openOnnx(options)
    : await (await import('./tfjs.ts')).openTfjs(options)
}

function firstLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  return message.split('\n')[0] ?? message
}

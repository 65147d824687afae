import { createRequire } from 'node:module'
import { arch, platform } from 'node:os'
import {
  ModelError,
  precisionOf,
  verifyArtifact,
  type Artifact,
  type Manifest,
  type Model,
  type Precision
} from '@streamsight/models'
import {
  engineNames,
  type Engine,
  type EngineChoice,
  type EngineName,
  type EngineOptions,
  type PrecisionChoice
} from './engine.ts'
import { findInt8Instructions, type Int8Instructions } from './int8-instructions.ts'
import { tryOut } from './smoke-run.ts'

/** An engine that was considered and why it was not taken. */
export interface Rejected {
  engine: EngineName
  reason: string
}

/** An engine with the artifact that it is to run, and why in this precision: "int8: avx512_vnni found". */
export interface Candidate {
  engine: EngineName
  artifact: Artifact
  precisionReason: string
}

export interface Chosen {
  engine: Engine
  name: EngineName
  artifact: Artifact
  precision: Precision
  precisionReason: string
  rejected: Rejected[]
}

export interface ChooseOptions {
  model: Model
  choice: EngineChoice
  precision?: PrecisionChoice
  threads: number
}

/**
 * The first engine of those that `choice` allows which can run an artifact of this model here, in a precision that
 * `precision` allows. Throws an error with the reason of each if none can.
 */
export async function chooseEngine({ model, choice, precision = 'auto', threads }: ChooseOptions): Promise<Chosen> {
  const { manifest } = model
  const rejected: Rejected[] = []
  for (const option of listCandidates(
    manifest,
    { choice, precision },
    await findInt8Instructions(platform(), arch())
  )) {
    if ('reason' in option) {
      rejected.push(option)
      continue
    }
    const { engine: name, artifact, precisionReason } = option
    await verifyArtifact(model, artifact)
    try {
      const engine = await open({ model, artifact, name, threads }, choice === 'auto')
      return { engine, name, artifact, precision: precisionOf(artifact), precisionReason, rejected }
    } catch (error) {
      // A file that is damaged or not what the manifest says is an error to report, no reason to serve something else quietly.
      if (error instanceof ModelError) throw error
      rejected.push({ engine: name, reason: firstLine(error) })
    }
  }
  throw new Error(
    `ENGINE=${choice} can't run model "${manifest.name}" here: ${rejected.map(({ engine, reason }) => `${engine}: ${reason}`).join('; ')}`
  )
}

/**
 * What to try, the best first: engines in their order, and for each the artifacts that it may run. An engine without
 * one is there with the reason. Throws a ModelError if the model has no artifact of the precision that is asked for.
 */
export function listCandidates(
  { name, artifacts }: Manifest,
  { choice, precision }: { choice: EngineChoice; precision: PrecisionChoice },
  instructions: Int8Instructions
): Array<Candidate | Rejected> {
  if (precision !== 'auto' && !artifacts.some(artifact => isInt8(artifact) === (precision === 'int8')))
    throw new ModelError(
      `PRECISION=${precision}, but model "${name}" has no ${precision} artifact: use PRECISION=auto, or add one`
    )
  return enginesOf(choice).flatMap<Candidate | Rejected>(engine => {
    const own = artifacts.filter(({ format }) => format.startsWith(libraryOf(engine)))
    if (own.length === 0) return [{ engine, reason: `the model has no ${libraryOf(engine)} artifact` }]
    const ranked = rankArtifacts(own, { precision, onGpu: isOnGpu(engine) }, instructions)
    return ranked.length === 0
      ? [{ engine, reason: noneOf(precision, engine) }]
      : ranked.map(([artifact, precisionReason]) => ({ engine, artifact, precisionReason }))
  })
}

/**
 * Those of an engine's artifacts that it may run, the best first, each with the reason. An exact one has float32 or
 * float16 weights, which answer alike. int8 is for CPUs: a GPU gains nothing from a file quantized for them.
 */
function rankArtifacts(
  own: Artifact[],
  { precision, onGpu }: { precision: PrecisionChoice; onGpu: boolean },
  instructions: Int8Instructions
): Array<[Artifact, reason: string]> {
  const int8 = onGpu ? undefined : own.find(isInt8)
  const exact = own.find(artifact => !isInt8(artifact))
  const said = 'found' in instructions ? `${instructions.found} found` : instructions.missing

  if (precision === 'exact') return exact ? [[exact, 'exact: PRECISION=exact']] : []
  if (precision === 'int8') return int8 ? [[int8, `int8: PRECISION=int8, ${said}`]] : []
  if (!exact) return int8 ? [[int8, `int8: the model has no exact artifact, ${said}`]] : []
  if (onGpu) return [[exact, 'exact: int8 is for CPUs']]
  if (!int8) return [[exact, 'exact: the model has no int8 artifact']]
  if ('missing' in instructions) return [[exact, `exact: ${said}`]]
  return [
    [int8, `int8: ${said}`],
    [exact, 'exact: the int8 artifact does not run here']
  ]
}

function noneOf(precision: PrecisionChoice, engine: EngineName): string {
  if (precision !== 'exact' && isOnGpu(engine)) return 'int8 is for CPUs'
  return `the model has no ${precision === 'exact' ? 'exact' : 'int8'} ${libraryOf(engine)} artifact`
}

function isInt8(artifact: Artifact): boolean {
  return precisionOf(artifact) === 'int8'
}

function enginesOf(choice: EngineChoice): EngineName[] {
  return engineNames.filter(name => choice === 'auto' || choice === name || choice === libraryOf(name))
}

function libraryOf(name: EngineName): 'tfjs' | 'onnx' {
  return name.startsWith('tfjs') ? 'tfjs' : 'onnx'
}

function isOnGpu(name: EngineName): boolean {
  return name !== 'onnx-cpu' && name !== 'tfjs-wasm'
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
  if (options.name === 'tfjs-node-gpu') assertInstalled('@tensorflow/tfjs-node-gpu')
  return libraryOf(options.name) === 'onnx'
    ? await (await import('./onnx.ts')).openOnnx(options)
    : await (await import('./tfjs.ts')).openTfjs(options)
}

/** Asked before TensorFlow.js is loaded: that costs 0.3 s of CPU time and 35 MB (2026-11-25), here for nothing. */
function assertInstalled(name: string): void {
  createRequire(import.meta.url).resolve(name)
}

function firstLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  return message.split('\n')[0] ?? message
}

import type { Artifact, Model } from '@streamsight/models'

/** A library and what it runs on, in the order in which `auto` tries them. */
export const engineNames = ['tfjs-node-gpu', 'onnx-cuda', 'onnx-webgpu', 'onnx-cpu', 'tfjs-wasm'] as const
export type EngineName = (typeof engineNames)[number]

/** What ENGINE can say: all, one library, or one engine. */
export const engineChoices = ['auto', 'tfjs', 'onnx', ...engineNames] as const
export type EngineChoice = (typeof engineChoices)[number]

/** What PRECISION can say. `exact` is float32 or float16 weights; `auto` prefers int8 on a CPU made for it. */
export const precisionChoices = ['auto', 'exact', 'int8'] as const
export type PrecisionChoice = (typeof precisionChoices)[number]

export interface EngineOptions {
  model: Model
  artifact: Artifact
  name: EngineName
  /** CPU threads it may use. */
  threads: number
}

/**
 * The sizes of a batch that an engine takes. `any`: all alike. `compiled`: each new one costs it seconds of compiling and tuning, so
 * that a batch is better padded to one that it has run before. `fixed`: only the one with which the model was exported.
 */
export type BatchSizes = { kind: 'any' } | { kind: 'compiled' } | { kind: 'fixed'; size: number }

/** A loaded model that computes on the thread it lives in. */
export interface Engine {
  batchSizes: BatchSizes
  /**
   * Scores of a batch: `input` holds `batchSize` images in the artifact's layout, float32, normalized as the manifest
   * says; the result `batchSize` × classes. Not called again before it has answered.
   */
  run: (input: Float32Array, batchSize: number) => Promise<Float32Array>
  close: () => Promise<void>
}

/** Loads an artifact. Throws with a reason a person can act on if this engine can't run here. */
export type OpenEngine = (options: EngineOptions) => Promise<Engine>

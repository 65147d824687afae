import './tfjs-polyfill.ts'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join, sep } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm'
import { GraphModel, loadGraphModel } from '@tensorflow/tfjs-converter'
import { loadLayersModel, type LayersModel } from '@tensorflow/tfjs-layers'
import type { Artifact } from '@streamsight/models'
import type { Engine, EngineOptions } from './engine.ts'
import { bothClasses, checkGraph, imageDims, type Declared } from './graph.ts'

type Network = LayersModel | GraphModel<tf.io.IOHandler>

/** TensorFlow.js, on CUDA through its native binding or anywhere through WebAssembly. Keeps no tensor but the weights. */
export async function openTfjs({ model: { dir, manifest }, artifact, name }: EngineOptions): Promise<Engine> {
  await (name === 'tfjs-node-gpu' ? useNodeGpu() : useWasm())
  const network = await load(dir, artifact)
  const { input, fixedBatch } = checkGraph(declared(network), {
    artifact,
    manifest,
    inputTypes: ['float32', 'int32'],
    outputTypes: ['float32']
  })
  const dims = imageDims(manifest, artifact.layout)
  const predict = await choosePredict(network, () =>
    tf.zeros([fixedBatch ?? 1, ...dims], input.type === 'int32' ? 'int32' : 'float32')
  )

  return {
    // CUDA's convolutions are tuned anew for each shape.
    batchSizes:
      fixedBatch !== undefined
        ? { kind: 'fixed', size: fixedBatch }
        : { kind: name === 'tfjs-node-gpu' ? 'compiled' : 'any' },
    async run(values, batchSize) {
      const images = tf.tensor(input.type === 'int32' ? Int32Array.from(values, Math.round) : values, [
        batchSize,
        ...dims
      ])
      try {
        const scores = await predict(images)
        const values = await scores.data<'float32'>().finally(() => scores.dispose())
        return bothClasses(values, batchSize, { manifest, artifact })
      } finally {
        images.dispose()
      }
    },
    async close() {
      network.dispose()
    }
  }
}

async function load(dir: string, artifact: Artifact): Promise<Network> {
  const handler: tf.io.IOHandler = { load: () => readArtifacts(dir, artifact) }
  return artifact.format === 'tfjs-graph' ? await loadGraphModel(handler) : await loadLayersModel(handler)
}

/** The model file and its shards from disk: tfjs itself reads files only with its native binding. */
async function readArtifacts(dir: string, { path, files }: Artifact): Promise<tf.io.ModelArtifacts> {
  const json = JSON.parse(await readFile(join(dir, path), 'utf8')) as tf.io.ModelJSON
  return await tf.io.getModelArtifactsForJSON(json, async manifest => {
    const paths = manifest.flatMap(({ paths }) => paths.map(shard => join(dirname(path), shard)))
    // Only what the manifest lists has been checked.
    const unlisted = paths.find(shard => !files.some(file => file.path === shard))
    if (unlisted !== undefined)
      throw new Error(`${path}: its shard "${unlisted}" is not among the files in the manifest`)
    const shards = await Promise.all(paths.map(shard => readFile(join(dir, shard))))
    return [tf.io.getWeightSpecs(manifest), shards.map(toArrayBuffer)]
  })
}

function toArrayBuffer(bytes: Buffer): ArrayBuffer {
  return new Uint8Array(bytes).buffer
}

/** A layers model knows all its shapes, a graph model those of its placeholders. */
function declared(network: Network): { inputs: Declared[]; outputs: Declared[] } {
  return { inputs: network.inputs.map(toDeclared), outputs: network.outputs.map(toDeclared) }
}

function toDeclared({
  name,
  dtype,
  shape
}: {
  name: string
  dtype?: string
  shape?: ReadonlyArray<number | null>
}): Declared {
  return { name, type: dtype ?? 'float32', dims: shape?.map(dim => (dim === null || dim < 0 ? undefined : dim)) }
}

/**
 * How to call the model: a graph whose course depends on its values (`If`, `While`, the `Switch` and `Merge` of old Keras exports)
 * must be run asynchronously, which costs more. The library tells only when it is run.
 */
async function choosePredict(
  network: Network,
  zeros: () => tf.Tensor
): Promise<(images: tf.Tensor) => Promise<tf.Tensor>> {
  if (!(network instanceof GraphModel)) return async images => tf.tidy(() => only(network.predict(images)))
  try {
    tf.tidy(() => {
      network.predict(zeros())
    })
  } catch (error) {
    if (!/executeAsync/.test(String(error))) throw error
    return images => predictAsync(network, images)
  }
  return async images => tf.tidy(() => only(network.predict(images)))
}

/** In a scope of its own, as `tidy` has for what is not asynchronous: a graph that fails half-way would leave its tensors behind. */
async function predictAsync(network: GraphModel<tf.io.IOHandler>, images: tf.Tensor): Promise<tf.Tensor> {
  let scores: tf.Tensor | undefined
  tf.engine().startScope()
  try {
    scores = only(await network.executeAsync(images))
    return scores
  } finally {
    tf.engine().endScope(scores)
  }
}

/** Models answer with a tensor, a list or a dictionary; that it holds one alone was checked when the model was loaded. */
function only(answer: tf.Tensor | tf.Tensor[] | tf.NamedTensorMap): tf.Tensor {
  const [scores] = answer instanceof tf.Tensor ? [answer] : Object.values(answer)
  if (scores === undefined) throw new Error('the model gave no output')
  return scores
}

async function useNodeGpu(): Promise<void> {
  const packageName: string = '@tensorflow/tfjs-node-gpu'
  await import(packageName)
  if (!(await tf.setBackend('tensorflow'))) throw new Error('TensorFlow’s native backend did not start')
}

async function useWasm(): Promise<void> {
  const entry = createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm')
  setWasmPaths(join(dirname(entry), sep))
  if (!(await tf.setBackend('wasm'))) throw new Error('the WebAssembly backend did not start')
}

/** Whether TensorFlow's native backend found a CUDA device; without one it computes on the CPU. */
export function isOnGpu(): boolean {
  return (tf.backend() as { isUsingGpuDevice?: boolean }).isUsingGpuDevice === true
}

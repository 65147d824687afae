import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join, sep } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm'
import { loadGraphModel } from '@tensorflow/tfjs-converter'
import { loadLayersModel } from '@tensorflow/tfjs-layers'
import type { Artifact } from '@streamsight/models'
import type { Engine, EngineOptions } from '../engine.ts'

/** TensorFlow.js, on CUDA through its native binding or anywhere through WebAssembly. */
export async function openTfjs ({ model, artifact, name }: EngineOptions): Promise<Engine> {
  await (name === 'tfjs-node-gpu' ? useNodeGpu() : useWasm())
  const { width, height } = model.manifest.input
  const network = await load(model.dir, artifact)
  const dims = artifact.layout === 'NCHW' ? [3, height, width] : [height, width, 3]

  return {
    async run (input, batchSize) {
      const output = tf.tidy(() => {
        const scores = network.predict(tf.tensor(input, [batchSize, ...dims]))
        if (!(scores instanceof tf.Tensor)) throw new Error(`${artifact.path}: more than one output`)
        return scores
      })
      try {
        return await output.data<'float32'>()
      } finally {
        output.dispose()
      }
    },
    async close () { network.dispose() }
  }
}

async function load (dir: string, artifact: Artifact) {
  const handler: tf.io.IOHandler = { load: () => readArtifacts(dir, artifact) }
  return artifact.format === 'tfjs-graph' ? await loadGraphModel(handler) : await loadLayersModel(handler)
}

/** The model file and its shards from disk: tfjs itself reads files only with its native binding. */
async function readArtifacts (dir: string, { path, files }: Artifact): Promise<tf.io.ModelArtifacts> {
  const json = JSON.parse(await readFile(join(dir, path), 'utf8')) as tf.io.ModelJSON
  return await tf.io.getModelArtifactsForJSON(json, async manifest => {
    const paths = manifest.flatMap(({ paths }) => paths.map(shard => join(dirname(path), shard)))
    // Only what the manifest lists has been checked.
    const unlisted = paths.find(shard => !files.some(file => file.path === shard))
    if (unlisted !== undefined) throw new Error(`${path}: its shard "${unlisted}" is not among the files in the manifest`)
    const shards = await Promise.all(paths.map(shard => readFile(join(dir, shard))))
    return [tf.io.getWeightSpecs(manifest), tf.io.concatenateArrayBuffers(shards.map(toArrayBuffer))]
  })
}

function toArrayBuffer (bytes: Buffer): ArrayBuffer {
  return new Uint8Array(bytes).buffer
}

async function useNodeGpu (): Promise<void> {
  const packageName: string = '@tensorflow/tfjs-node-gpu'
  await import(packageName)
  if (!await tf.setBackend('tensorflow')) throw new Error('TensorFlow’s native backend did not start')
}

async function useWasm (): Promise<void> {
  const entry = createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm')
  setWasmPaths(join(dirname(entry), sep))
  if (!await tf.setBackend('wasm')) throw new Error('the WebAssembly backend did not start')
}

/** Whether TensorFlow's native backend found a CUDA device; without one it computes on the CPU. */
export function isOnGpu (): boolean {
  return (tf.backend() as { isUsingGpuDevice?: boolean }).isUsingGpuDevice === true
}

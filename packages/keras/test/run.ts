import { createRequire } from 'node:module'
import { dirname, join, sep } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm'
import { loadLayersModel, type LayersModel } from '@tensorflow/tfjs-layers'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { type Network } from '../src/ir.ts'
import { writeOnnx } from '../src/write-onnx.ts'
import { writeTfjs } from '../src/write-tfjs.ts'

/** A batch of images, [count, height, width, 3]. */
export interface Images {
  count: number
  height: number
  width: number
  data: Float32Array
}

export async function useWasm(): Promise<void> {
  setWasmPaths(join(dirname(createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm')), sep))
  if (!(await tf.setBackend('wasm'))) throw new Error('the WebAssembly backend did not start')
}

/** What the artifact for TensorFlow.js makes of images: [count, classes]. */
export async function runTfjs(network: Network, images: Images): Promise<Float32Array> {
  const { json, weights } = writeTfjs(network)
  const artifact = JSON.parse(json) as tf.io.ModelJSON
  const model = await loadLayersModel({
    load: () =>
      tf.io.getModelArtifactsForJSON(artifact, async manifest => [
        tf.io.getWeightSpecs(manifest),
        new Uint8Array(weights).buffer
      ])
  })
  try {
    return await predict(model, images)
  } finally {
    model.dispose()
  }
}

export async function predict(model: LayersModel, { count, height, width, data }: Images): Promise<Float32Array> {
  const scores = tf.tidy(() => model.predict(tf.tensor4d(data, [count, height, width, 3])) as tf.Tensor)
  try {
    return Float32Array.from(await scores.data())
  } finally {
    scores.dispose()
  }
}

/** What the ONNX artifact makes of the same images. */
export async function runOnnx(network: Network, { count, height, width, data }: Images): Promise<Float32Array> {
  const session = await InferenceSession.create(writeOnnx(network), {
    executionProviders: ['cpu'],
    logSeverityLevel: 3
  })
  const [inputName = '', outputName = ''] = [session.inputNames[0], session.outputNames[0]]
  try {
    const results = await session.run({
      [inputName]: new Tensor('float32', toNchw(count, height * width, data), [count, 3, height, width])
    })
    return Float32Array.from(results[outputName]?.data as Float32Array)
  } finally {
    await session.release()
  }
}

function toNchw(count: number, pixels: number, data: Float32Array): Float32Array {
  return data
    .map((_, i) => {
      const [image, channel, pixel] = [Math.floor(i / (3 * pixels)), Math.floor(i / pixels) % 3, i % pixels]
      return data[(image * pixels + pixel) * 3 + channel] ?? Number.NaN
    })
    .slice(0, count * 3 * pixels)
}

/** Rows of probabilities, whatever the network ends in. */
export function probabilities(
  scores: Float32Array,
  { activation, classes }: Pick<Network, 'activation' | 'classes'>
): Float32Array[] {
  const rows = Array.from({ length: scores.length / classes }, (_, i) =>
    scores.subarray(i * classes, (i + 1) * classes)
  )
  return activation === 'softmax' ? rows : rows.map(softmax)
}

function softmax(row: Float32Array): Float32Array {
  const max = row.reduce((a, b) => Math.max(a, b), -Infinity)
  const powers = row.map(value => Math.exp(value - max))
  const sum = powers.reduce((a, b) => a + b, 0)
  return powers.map(value => value / sum)
}

/** Infinity where one is not a number or the lengths differ. */
export function largestDifference(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length) return Infinity
  return a.reduce((largest, value, i) => {
    const difference = Math.abs(value - (b[i] ?? Number.NaN))
    return Number.isNaN(difference) ? Infinity : Math.max(largest, difference)
  }, 0)
}

export function best(row: Float32Array): number {
  return row.indexOf(row.reduce((a, b) => Math.max(a, b), -Infinity))
}

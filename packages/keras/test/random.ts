import * as tf from '@tensorflow/tfjs-core'
import { type LayersModel } from '@tensorflow/tfjs-layers'
import { type Images } from './run.ts'

export type Random = () => number

/** Numbers from 0 to 1, the same in each run (mulberry32). */
export function createRandom(seed: number): Random {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Weights such that what goes in with a spread of about 1 comes out so: He's for a kernel, anything but 0 and 1 for normalization. */
export function randomWeights(
  random: Random,
  { kind, shape }: { kind: string; shape: readonly number[] }
): Float32Array {
  const size = shape.reduce((product, length) => product * length, 1)
  const values = new Float32Array(size)
  const between = (low: number, high: number) => {
    // Float32Array.from would take ten times as long, and ResNet50 has 25 million weights.
    for (let i = 0; i < size; i++) values[i] = low + (high - low) * random()
    return values
  }
  if (/variance|gamma/.test(kind)) return between(0.5, 1.5)
  if (/beta|mean|bias/.test(kind)) return between(-0.5, 0.5)
  // A channel of a depthwise convolution reads its window only, whatever the number of channels.
  const fanIn = size / (kind.includes('depthwise') ? shape.slice(-2).reduce((a, b) => a * b, 1) : (shape.at(-1) ?? 1))
  const bound = Math.sqrt(6 / fanIn)
  return between(-bound, bound)
}

export function randomize(model: LayersModel, seed: number): void {
  const random = createRandom(seed)
  for (const weight of model.weights) {
    const shape = weight.shape.map(Number)
    const values = tf.tensor(randomWeights(random, { kind: weight.originalName.split('/').at(-1) ?? '', shape }), shape)
    weight.write(values)
    values.dispose()
  }
}

export function randomImages({ count, height, width, seed }: Omit<Images, 'data'> & { seed: number }): Images {
  const random = createRandom(seed)
  return {
    count,
    height,
    width,
    data: Float32Array.from({ length: count * height * width * 3 }, () => random() * 2 - 1)
  }
}

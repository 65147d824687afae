import type { Artifact } from '@streamsight/models'
import { toFloat16 } from '../../src/engines/float16.ts'
import { createOnnxGraph, type Value } from './onnx.ts'

/** Side of the images, and the classes, of a model that can be computed by hand. */
export const side = 4
export const classLabels = ['red', 'green', 'blue', 'bright', 'dark']
export const imageValues = 3 * side * side

/** Weights of the dense layer, [3, classes], exact in half precision. */
export const dense = Float32Array.of(4, -2, -2, 1, -1, -2, 4, -2, 1, -1, -2, -2, 4, 1, -1)

export interface ClassifierOptions {
  input?: 'float32' | 'float16' | 'uint8'
  layout?: Artifact['layout']
  batch?: number | 'N'
  end?: 'Softmax' | 'logits' | 'Log'
  /** int8 weights and activations, as quantizers write them: QuantizeLinear and DequantizeLinear around the matrix. */
  quantized?: boolean
  also?: { inputs?: Value[]; outputs?: Value[] }
}

/** An ONNX classifier: the mean of each channel, a dense layer, softmax. */
export function classifierOnnx({
  input = 'float32',
  layout = 'NCHW',
  batch = 'N',
  end = 'Softmax',
  quantized = false,
  also = {}
}: ClassifierOptions = {}): Uint8Array {
  const graph = createOnnxGraph()
  const type = input === 'float16' ? 'float16' : 'float32'
  let x = input === 'uint8' ? graph.node('Cast', ['pixels'], { to: 1 }) : 'pixels'
  if (layout === 'NHWC') x = graph.node('Transpose', [x], { perm: [0, 3, 1, 2] })
  x = graph.node('Flatten', [graph.node('GlobalAveragePool', [x])])
  const weights = quantized
    ? quantizedDense()
    : graph.weight(type, [3, classLabels.length], type === 'float16' ? toFloat16(dense) : dense)
  x = graph.node('MatMul', [quantized ? roundTrip(x) : x, weights], {}, end === 'logits' ? 'scores' : undefined)
  if (end !== 'logits') graph.node(end, [x], {}, 'scores')
  for (const { name, type, dims } of also.outputs ?? [])
    if (type === 'float32' && dims.length === 2) graph.node('Identity', [x], {}, name)
  const dims = layout === 'NCHW' ? [3, side, side] : [side, side, 3]
  return graph.toBytes({
    inputs: [{ name: 'pixels', type: input, dims: [batch, ...dims] }, ...(also.inputs ?? [])],
    outputs: [{ name: 'scores', type, dims: [batch, classLabels.length] }, ...(also.outputs ?? [])]
  })

  /** The weights are multiples of the scale, so that nothing is lost. */
  function quantizedDense(): string {
    const scale = graph.weight('float32', [], Float32Array.of(1 / 16))
    const zero = graph.weight('int8', [], Int8Array.of(0))
    const weights = graph.weight(
      'int8',
      [3, classLabels.length],
      Int8Array.from(dense, value => value * 16)
    )
    return graph.node('DequantizeLinear', [weights, scale, zero])
  }

  /** Activations between −1 and 1, in steps of 1/127. */
  function roundTrip(x: string): string {
    const scale = graph.weight('float32', [], Float32Array.of(1 / 127))
    const zero = graph.weight('int8', [], Int8Array.of(0))
    return graph.node('DequantizeLinear', [graph.node('QuantizeLinear', [x, scale, zero]), scale, zero])
  }
}

/** What that says to images in NCHW: probabilities, or logits. */
export function classify(images: Float32Array, { end = 'Softmax' }: Pick<ClassifierOptions, 'end'> = {}): Float32Array {
  const answers: number[] = []
  for (let from = 0; from < images.length; from += imageValues) {
    const means = [0, 1, 2].map(channel =>
      mean(images.subarray(from + channel * side * side, from + (channel + 1) * side * side))
    )
    const logits = classLabels.map((_, label) =>
      means.reduce((sum, value, channel) => sum + value * (dense[channel * classLabels.length + label] ?? 0), 0)
    )
    const weights = logits.map(Math.exp)
    const total = weights.reduce((a, b) => a + b)
    answers.push(...(end === 'logits' ? logits : weights.map(weight => weight / total)))
  }
  return Float32Array.from(answers)
}

function mean(values: Float32Array): number {
  return values.reduce((a, b) => a + b, 0) / values.length
}

/** The same images with the channels of a pixel together. */
export function toNhwc(images: Float32Array): Float32Array<ArrayBuffer> {
  const pixels = side * side
  return Float32Array.from(images, (_, i) => {
    const [image, pixel, channel] = [Math.floor(i / imageValues), Math.floor((i % imageValues) / 3), i % 3]
    return images[image * imageValues + channel * pixels + pixel] ?? NaN
  })
}

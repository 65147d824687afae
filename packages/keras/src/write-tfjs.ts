import { channelsOf, imageShape, type ElementwiseFunction, type Layer, type LayerOf, type Network } from './ir.ts'
import { bytesOf, transposed } from './bytes.ts'
import { convolution, vector, type TfjsLayer, type Weight } from './tfjs-convolution.ts'

/**
 * A TensorFlow.js layers model of a network: [batch, height, width, 3] to [batch, scores], with its topology in `json` and its
 * weights for a file `weights.bin` beside it.
 */
export function writeTfjs(network: Network): { json: string; weights: Uint8Array } {
  const topology: object[] = []
  const specs: object[] = []
  const chunks: Uint8Array[] = []

  function add(name: string, inputs: readonly string[], { className, config, weights = {} }: TfjsLayer): void {
    const inbound = inputs.length === 0 ? [] : [inputs.map(input => [input, 0, 0, {}])]
    topology.push({ name, class_name: className, config: { name, ...config }, inbound_nodes: inbound })
    for (const [kind, { shape, data }] of Object.entries(weights)) {
      specs.push({ name: `${name}/${kind}`, shape, dtype: 'float32' })
      chunks.push(bytesOf(data))
    }
  }

  const layers = fuseRelu(network.layers)
  const byName = new Map(layers.map(layer => [layer.name, layer]))
  for (const layer of layers) {
    let inputs = layer.inputs.map((input, i) => {
      if (layer.inputs.indexOf(input) === i) return input
      // TensorFlow.js frees an input after its first use by a layer: a second one needs a tensor of its own.
      const copy = `${layer.name}/again-${i}`
      add(copy, [input], { className: 'Reshape', config: { target_shape: byName.get(input)?.shape } })
      return copy
    })
    const steps = toTfjs(layer, byName.get(inputs[0] ?? '') ?? layer)
    steps.forEach((step, i) => {
      const name = i === steps.length - 1 ? layer.name : `${layer.name}/step-${i + 1}`
      add(name, inputs, step)
      inputs = [name]
    })
  }
  return { json: modelJson({ name: network.name, layers, topology, specs }), weights: Buffer.concat(chunks) }
}

function modelJson({
  name,
  layers,
  topology,
  specs
}: {
  name: string
  layers: readonly Layer[]
  topology: object[]
  specs: object[]
}): string {
  const config = {
    name,
    layers: topology,
    input_layers: [[layers[0]?.name, 0, 0]],
    output_layers: [[layers.at(-1)?.name, 0, 0]]
  }
  return JSON.stringify({
    format: 'layers-model',
    generatedBy: 'streamsight',
    convertedBy: null,
    modelTopology: { class_name: 'Model', config, keras_version: 'tfjs-layers 4.22.0', backend: 'tensor_flow.js' },
    weightsManifest: [{ paths: ['weights.bin'], weights: specs }]
  })
}

/** A layer of ours that may have taken in the ReLU after it. */
type Fused = Layer & { hasRelu?: boolean }

/** TensorFlow.js computes a convolution and its ReLU in one go, without writing what comes between. */
function fuseRelu(layers: readonly Layer[]): Fused[] {
  const fused: Fused[] = []
  const moved = new Map<string, string>()
  const reads = layers.flatMap(({ inputs }) => inputs)
  for (const layer of layers) {
    const inputs = layer.inputs.map(name => moved.get(name) ?? name)
    const index = fused.findIndex(({ name }) => name === inputs[0])
    const before = fused[index]
    const isFusable =
      layer.kind === 'relu' && layer.max === Infinity && (before?.kind === 'conv' || before?.kind === 'dense')
    if (isFusable && before.hasRelu !== true && reads.filter(name => name === layer.inputs[0]).length === 1) {
      fused[index] = { ...before, hasRelu: true }
      moved.set(layer.name, before.name)
    } else {
      fused.push({ ...layer, inputs })
    }
  }
  return fused
}

/** Functions by the names that TensorFlow.js has for them. */
const activations: Record<ElementwiseFunction, string> = {
  elu: 'elu',
  sigmoid: 'sigmoid',
  tanh: 'tanh',
  swish: 'swish',
  selu: 'selu',
  softplus: 'softplus',
  softsign: 'softsign',
  gelu: 'gelu',
  mish: 'mish'
}

/** One after the other; `input` is the first of the layer's inputs. */
function toTfjs(layer: Fused, input: Layer): TfjsLayer[] {
  const activation = layer.hasRelu === true ? 'relu' : 'linear'
  switch (layer.kind) {
    case 'input':
      return [
        {
          className: 'InputLayer',
          config: { batch_input_shape: [null, ...layer.shape], dtype: 'float32', sparse: false }
        }
      ]
    case 'conv':
      return [convolution(layer, channelsOf(input.shape), activation)]
    case 'dense':
      return [dense(layer, activation)]
    case 'affine':
      return [affine(layer)]
    case 'pool':
      return [pool(layer)]
    case 'pad':
      return [
        {
          className: 'ZeroPadding2D',
          config: {
            padding: [
              [layer.top, layer.bottom],
              [layer.left, layer.right]
            ],
            data_format: 'channels_last'
          }
        }
      ]
    case 'relu':
      return [{ className: 'ReLU', config: { max_value: layer.max === Infinity ? null : layer.max } }]
    case 'leakyRelu':
      return [{ className: 'LeakyReLU', config: { alpha: layer.slope } }]
    case 'thresholdedRelu':
      return [{ className: 'ThresholdedReLU', config: { theta: layer.threshold } }]
    case 'elementwise':
      return [{ className: 'Activation', config: { activation: activations[layer.function] } }]
    case 'prelu':
      return [prelu(layer)]
    case 'softmax':
      return [{ className: 'Softmax', config: { axis: -1 } }]
    case 'logSoftmax':
      return [{ className: 'Activation', config: { activation: 'logSoftmax' } }]
    case 'layerNormalization':
      return [layerNormalization(layer)]
    case 'resize':
      return resize(layer, input)
    case 'crop':
      return [crop(layer, input)]
    case 'globalPool':
      return globalPool(layer)
    case 'add':
      return [{ className: 'Add' }]
    case 'multiply':
      return [{ className: 'Multiply' }]
    case 'maximum':
      return [{ className: 'Maximum' }]
    case 'minimum':
      return [{ className: 'Minimum' }]
    case 'concatenate':
      return [{ className: 'Concatenate', config: { axis: layer.axis + 1 } }]
    case 'reshape':
      return [{ className: 'Reshape', config: { target_shape: layer.shape } }]
  }
}

function dense({ kernel, bias }: LayerOf<'dense'>, activation: string): TfjsLayer {
  const weights = { kernel: { shape: [kernel.length / bias.length, bias.length], data: kernel }, bias: vector(bias) }
  return { className: 'Dense', config: { units: bias.length, activation }, weights }
}

function pool({ reduce, size, strides, padding }: LayerOf<'pool'>): TfjsLayer {
  const config = { pool_size: size, strides, padding, data_format: 'channels_last' }
  return { className: reduce === 'max' ? 'MaxPooling2D' : 'AveragePooling2D', config }
}

/** TensorFlow.js has no layer of scale and offset alone: batch normalization with mean 0 and variance 1 is that. */
function affine({ scale, offset }: LayerOf<'affine'>): TfjsLayer {
  const weights = {
    gamma: vector(scale),
    beta: vector(offset),
    moving_mean: vector(new Float32Array(scale.length)),
    moving_variance: vector(new Float32Array(scale.length).fill(1))
  }
  return { className: 'BatchNormalization', config: { axis: -1, epsilon: 0 }, weights }
}

function prelu({ slope, slopeShape }: LayerOf<'prelu'>): TfjsLayer {
  const shared = slopeShape.flatMap((size, i) => (size === 1 ? [i + 1] : []))
  return {
    className: 'PReLU',
    config: { shared_axes: shared.length === 0 ? null : shared },
    weights: { alpha: { shape: slopeShape, data: slope } }
  }
}

function layerNormalization({ scale, offset, epsilon }: LayerOf<'layerNormalization'>): TfjsLayer {
  return {
    className: 'LayerNormalization',
    config: { axis: -1, epsilon },
    weights: { gamma: vector(scale), beta: vector(offset) }
  }
}

/** TensorFlow.js' own Resizing aligns corners: a dense layer over each axis, turned to the end for it, does what Keras does. */
function resize({ rows, columns, shape }: LayerOf<'resize'>, input: Layer): TfjsLayer[] {
  const [height, width] = imageShape(input)
  const [newHeight = 0, newWidth = 0] = shape
  const along = (kernel: Weight): TfjsLayer => ({
    className: 'Dense',
    config: { units: kernel.shape[1], activation: 'linear', use_bias: false },
    weights: { kernel }
  })
  const turned = (...dims: number[]): TfjsLayer => ({ className: 'Permute', config: { dims } })
  return [
    turned(2, 3, 1),
    along({ shape: [height, newHeight], data: transposed(rows, height) }),
    turned(3, 2, 1),
    along({ shape: [width, newWidth], data: columns }),
    turned(1, 3, 2)
  ]
}

function crop({ top, left, shape }: LayerOf<'crop'>, input: Layer): TfjsLayer {
  const [height, width] = imageShape(input)
  const [newHeight = 0, newWidth = 0] = shape
  const cropping = [
    [top, height - top - newHeight],
    [left, width - left - newWidth]
  ]
  return { className: 'Cropping2D', config: { cropping, data_format: 'channels_last' } }
}

/** TensorFlow.js never keeps the axes of the image. */
function globalPool({ reduce, shape }: LayerOf<'globalPool'>): TfjsLayer[] {
  const pool = {
    className: reduce === 'max' ? 'GlobalMaxPooling2D' : 'GlobalAveragePooling2D',
    config: { data_format: 'channels_last' }
  }
  return shape.length === 1 ? [pool] : [pool, { className: 'Reshape', config: { target_shape: shape } }]
}

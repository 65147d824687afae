import { createGraph, float, int, ints, type Graph } from './onnx-graph.ts'
import { writeElementwise } from './onnx-elementwise.ts'
import {
  channelsOf,
  dilatedSize,
  imageShape,
  windowPadding,
  type Layer,
  type LayerOf,
  type Network,
  type Padding,
  type Pair,
  type Shape
} from './ir.ts'

/**
 * An ONNX model of a network: float32 [batch, 3, height, width] to [batch, scores], for any batch. Images are NCHW inside it
 * too; tensors of other ranks are as in Keras.
 */
export function writeOnnx(network: Network): Uint8Array {
  const graph = createGraph()
  const layers = new Map(network.layers.map(layer => [layer.name, layer]))
  for (const layer of network.layers) writeLayer(graph, layer, layers.get(layer.inputs[0] ?? '') ?? layer)

  const {
    input: { width, height },
    name
  } = network
  return graph.encode({
    name,
    input: { name: network.layers[0]?.name ?? '', dims: ['batch', 3, height, width] },
    output: { name: network.layers.at(-1)?.name ?? '', dims: ['batch', ...(network.layers.at(-1)?.shape ?? [])] }
  })
}

/** `input` is the first of the layer's inputs. */
function writeLayer(graph: Graph, layer: Layer, input: Layer): void {
  const node = (op: string, attributes = {}) => graph.node({ op, inputs: layer.inputs, output: layer.name, attributes })
  switch (layer.kind) {
    case 'input':
      return
    case 'conv':
      return writeConv(graph, layer, input)
    case 'dense':
      return writeDense(graph, layer)
    case 'affine':
      return writeAffine(graph, layer)
    case 'pool':
      return writePool(graph, layer, input)
    case 'pad':
      return writePad(graph, layer)
    case 'relu':
      return layer.max === Infinity ? node('Relu') : writeClip(graph, layer)
    case 'leakyRelu':
      return node('LeakyRelu', { alpha: float(layer.slope) })
    case 'thresholdedRelu':
      return node('ThresholdedRelu', { alpha: float(layer.threshold) })
    case 'elementwise':
      return writeElementwise(graph, layer)
    case 'prelu':
      return writePrelu(graph, layer)
    case 'softmax':
      return node('Softmax', { axis: int(axisOf(layer.shape, layer.shape.length - 1)) })
    case 'logSoftmax':
      return node('LogSoftmax', { axis: int(axisOf(layer.shape, layer.shape.length - 1)) })
    case 'layerNormalization':
      return writeLayerNormalization(graph, layer)
    case 'resize':
      return writeResize(graph, layer, input)
    case 'crop':
      return writeCrop(graph, layer)
    case 'globalPool':
      return writeGlobalPool(graph, layer)
    case 'add':
      return writeChain(graph, layer, 'Add')
    case 'multiply':
      return writeChain(graph, layer, 'Mul')
    case 'maximum':
      return node('Max')
    case 'minimum':
      return node('Min')
    case 'concatenate':
      return node('Concat', { axis: int(axisOf(layer.shape, layer.axis)) })
    case 'reshape':
      return writeReshape(graph, layer, input)
  }
}

function writeConv(graph: Graph, layer: LayerOf<'conv'>, input: Layer): void {
  const { name, kernelSize, strides, dilation, groups, bias } = layer
  const filters = channelsOf(layer.shape)
  const channels = channelsOf(input.shape) / groups
  const kernel = graph.floats(
    `${name}:kernel`,
    [filters, channels, ...kernelSize],
    channelsFirst(layer.kernel, { channels, filters })
  )
  graph.node({
    op: 'Conv',
    inputs: [...layer.inputs, kernel, graph.floats(`${name}:bias`, [filters], bias)],
    output: name,
    attributes: {
      kernel_shape: ints(kernelSize),
      strides: ints(strides),
      dilations: ints(dilation),
      group: int(groups),
      pads: ints(padsOf(layer, input, dilation))
    }
  })
}

/** [height, width, channels, filters] as [filters, channels, height, width]. */
function channelsFirst(
  kernel: Float32Array,
  { channels, filters }: { channels: number; filters: number }
): Float32Array {
  const taps = kernel.length / channels / filters
  const result = new Float32Array(kernel.length)
  for (let tap = 0, from = 0; tap < taps; tap++) {
    for (let channel = 0; channel < channels; channel++) {
      for (let filter = 0; filter < filters; filter++)
        result[(filter * channels + channel) * taps + tap] = kernel[from++] ?? 0
    }
  }
  return result
}

function writePool(graph: Graph, layer: LayerOf<'pool'>, input: Layer): void {
  const window = {
    kernel_shape: ints(layer.size),
    strides: ints(layer.strides),
    pads: ints(padsOf({ ...layer, kernelSize: layer.size }, input, [1, 1]))
  }
  // TensorFlow's average is over the pixels there are: never over the padding.
  const [op, attributes] =
    layer.reduce === 'max' ? ['MaxPool', window] : ['AveragePool', { ...window, count_include_pad: int(0) }]
  graph.node({ op, inputs: layer.inputs, output: layer.name, attributes })
}

/** [top, left, bottom, right]. */
function padsOf(
  { kernelSize, strides, padding }: { kernelSize: Pair; strides: Pair; padding: Padding },
  input: Layer,
  dilation: Pair
): number[] {
  const [height, width] = imageShape(input)
  const [top, bottom] = windowPadding({
    input: height,
    kernel: dilatedSize(kernelSize[0], dilation[0]),
    stride: strides[0],
    padding
  })
  const [left, right] = windowPadding({
    input: width,
    kernel: dilatedSize(kernelSize[1], dilation[1]),
    stride: strides[1],
    padding
  })
  return [top, left, bottom, right]
}

function writeDense(graph: Graph, { name, inputs, shape, kernel, bias }: LayerOf<'dense'>): void {
  const weights = graph.floats(`${name}:kernel`, [kernel.length / bias.length, bias.length], kernel)
  const offset = graph.floats(`${name}:bias`, [bias.length], bias)
  if (shape.length === 1) return graph.node({ op: 'Gemm', inputs: [...inputs, weights, offset], output: name })
  graph.node({ op: 'MatMul', inputs: [...inputs, weights], output: `${name}:product` })
  graph.node({ op: 'Add', inputs: [`${name}:product`, offset], output: name })
}

function writeAffine(graph: Graph, { name, inputs, shape, scale, offset }: LayerOf<'affine'>): void {
  const dims = shape.length === 3 ? [scale.length, 1, 1] : [scale.length]
  graph.node({ op: 'Mul', inputs: [...inputs, graph.floats(`${name}:scale`, dims, scale)], output: `${name}:scaled` })
  graph.node({ op: 'Add', inputs: [`${name}:scaled`, graph.floats(`${name}:offset`, dims, offset)], output: name })
}

function writePad(graph: Graph, { name, inputs, top, left, bottom, right }: LayerOf<'pad'>): void {
  graph.node({
    op: 'Pad',
    inputs: [...inputs, graph.integers(`${name}:pads`, [0, 0, top, left, 0, 0, bottom, right])],
    output: name
  })
}

function writeClip(graph: Graph, { name, inputs, max }: LayerOf<'relu'>): void {
  const limits = [
    graph.floats(`${name}:min`, [], Float32Array.of(0)),
    graph.floats(`${name}:max`, [], Float32Array.of(max))
  ]
  graph.node({ op: 'Clip', inputs: [...inputs, ...limits], output: name })
}

function writePrelu(graph: Graph, { name, inputs, slope, slopeShape }: LayerOf<'prelu'>): void {
  const [height = 1, width = 1, channels = 1] = slopeShape
  const isImage = slopeShape.length === 3
  const values = isImage ? channelsFirst(slope, { channels: 1, filters: channels }) : slope
  const slopes = graph.floats(`${name}:slope`, isImage ? [channels, height, width] : slopeShape, values)
  graph.node({ op: 'PRelu', inputs: [...inputs, slopes], output: name })
}

/** ONNX normalizes over the last axes, where an image's channels are not. */
function writeLayerNormalization(graph: Graph, layer: LayerOf<'layerNormalization'>): void {
  const { name, inputs, shape, scale, offset, epsilon } = layer
  const isImage = shape.length === 3
  const weights = [
    graph.floats(`${name}:scale`, [scale.length], scale),
    graph.floats(`${name}:offset`, [offset.length], offset)
  ]
  const [source = ''] = inputs
  const [from, to] = isImage ? [`${name}:channels-last`, `${name}:normalized`] : [source, name]
  const turn = (from: string, to: string, perm: number[]) =>
    graph.node({ op: 'Transpose', inputs: [from], output: to, attributes: { perm: ints(perm) } })
  if (isImage) turn(source, from, [0, 2, 3, 1])
  const attributes = { axis: int(-1), epsilon: float(epsilon) }
  graph.node({ op: 'LayerNormalization', inputs: [from, ...weights], output: to, attributes })
  if (isImage) turn(to, name, [0, 3, 1, 2])
}

/** rows · image · columns, for each channel. */
function writeResize(graph: Graph, { name, inputs, rows, columns, shape }: LayerOf<'resize'>, input: Layer): void {
  const [height, width] = imageShape(input)
  const [newHeight = 0, newWidth = 0] = shape
  const left = graph.floats(`${name}:rows`, [newHeight, height], rows)
  const right = graph.floats(`${name}:columns`, [width, newWidth], columns)
  graph.node({ op: 'MatMul', inputs: [left, ...inputs], output: `${name}:resized-rows` })
  graph.node({ op: 'MatMul', inputs: [`${name}:resized-rows`, right], output: name })
}

function writeCrop(graph: Graph, { name, inputs, top, left, shape }: LayerOf<'crop'>): void {
  const [height = 0, width = 0] = shape
  const limits = [
    graph.integers(`${name}:starts`, [top, left]),
    graph.integers(`${name}:ends`, [top + height, left + width]),
    graph.integers(`${name}:axes`, [2, 3])
  ]
  graph.node({ op: 'Slice', inputs: [...inputs, ...limits], output: name })
}

function writeGlobalPool(graph: Graph, { name, inputs, shape, reduce }: LayerOf<'globalPool'>): void {
  const keepsAxes = shape.length === 3
  graph.node({
    op: reduce === 'max' ? 'GlobalMaxPool' : 'GlobalAveragePool',
    inputs,
    output: keepsAxes ? name : `${name}:pooled`
  })
  if (!keepsAxes) graph.node({ op: 'Flatten', inputs: [`${name}:pooled`], output: name })
}

/** ONNX adds and multiplies two at a time. */
function writeChain(graph: Graph, { name, inputs }: Layer, op: 'Add' | 'Mul'): void {
  const [first = '', ...others] = inputs
  others.reduce((sum, other, i) => {
    const output = i === others.length - 1 ? name : `${name}:${i + 1}`
    graph.node({ op, inputs: [sum, other], output })
    return output
  }, first)
}

/** Keras reads and fills an image's channels last. */
function writeReshape(graph: Graph, { name, inputs, shape }: Layer, input: Layer): void {
  let [from = ''] = inputs
  if (isReordered(input.shape)) {
    graph.node({
      op: 'Transpose',
      inputs: [from],
      output: `${name}:channels-last`,
      attributes: { perm: ints([0, 2, 3, 1]) }
    })
    from = `${name}:channels-last`
  }
  // A 0 keeps the batch.
  const [height, width, channels] = shape
  const target = isReordered(shape) || shape.length !== 3 ? shape : [channels ?? 1, height ?? 1, width ?? 1]
  const reshaped = isReordered(shape) ? `${name}:reshaped` : name
  graph.node({ op: 'Reshape', inputs: [from, graph.integers(`${name}:shape`, [0, ...target])], output: reshaped })
  if (isReordered(shape))
    graph.node({ op: 'Transpose', inputs: [reshaped], output: name, attributes: { perm: ints([0, 3, 1, 2]) } })
}

/** Whether NCHW has the elements in another order than NHWC: not with a single pixel or a single channel. */
function isReordered(shape: Shape): boolean {
  const [height = 1, width = 1, channels = 1] = shape
  return shape.length === 3 && height * width > 1 && channels > 1
}

/** Where an axis of a shape is in the graph's tensor, which has the batch first. */
function axisOf(shape: Shape, axis: number): number {
  if (shape.length !== 3) return axis + 1
  return axis === 2 ? 1 : axis + 2
}

import { KerasError } from '../error.ts'
import { channelsOf, dilatedSize, imageShape, windowCount, type Conv, type Layer, type Pair } from '../ir.ts'
import { describeLayer } from '../options.ts'
import { addActivation } from './activation.ts'
import { onlyInput, type Build } from './builder.ts'

export function conv2d(build: Build): Layer {
  const { options } = build
  const input = onlyInput(build)
  const [, , channels] = imageShape(input)
  const groups = options.number('groups', 1)
  if (channels % groups !== 0) options.refuse('groups', `the ${channels} channels of the input can't be divided by it`)
  const { kernelSize } = windowOf(build)
  const kernel = build.weight('kernel', [...kernelSize, channels / groups, filtersOf(build)])
  return addActivation(build, addConv(build, input, { kernel: kernel.data, filters: channelsOf(kernel.shape), groups }))
}

export function depthwiseConv2d(build: Build): Layer {
  return addActivation(build, addDepthwise(build, { hasBias: true }))
}

/** A depthwise convolution and one of 1 × 1 over its channels. */
export function separableConv2d(build: Build): Layer {
  const depthwise = addDepthwise(build, { hasBias: false })
  const kernel = build.weight('pointwise_kernel', [1, 1, channelsOf(depthwise.shape), filtersOf(build)])
  const filters = channelsOf(kernel.shape)
  return addActivation(build, addPointwise(build, depthwise, { kernel: kernel.data, bias: biasOf(build, filters) }))
}

export function dense(build: Build): Layer {
  const input = onlyInput(build)
  const kernel = build.weight('kernel', [channelsOf(input.shape), filtersOf(build, 'units')])
  const units = channelsOf(kernel.shape)
  const bias = biasOf(build, units)
  // On an image a dense layer is a convolution of 1 × 1, which no artifact has to change its layout for.
  const output =
    input.shape.length === 3
      ? addPointwise(build, input, { kernel: kernel.data, bias })
      : build.add({
          operation: { kind: 'dense', kernel: kernel.data, bias },
          inputs: [input],
          shape: [...input.shape.slice(0, -1), units]
        })
  return addActivation(build, output)
}

function addDepthwise(build: Build, { hasBias }: { hasBias: boolean }): Layer {
  const input = onlyInput(build)
  const [, , channels] = imageShape(input)
  const { kernelSize } = windowOf(build)
  const kernel = build.weight('depthwise_kernel', [...kernelSize, channels, multiplierOf(build)])
  // [height, width, channels, multiplier] has the elements of [height, width, 1, channels · multiplier] in the same order.
  const filters = channels * channelsOf(kernel.shape)
  return addConv(build, input, {
    kernel: kernel.data,
    filters,
    groups: channels,
    bias: hasBias ? undefined : new Float32Array(filters)
  })
}

interface ConvWeights {
  kernel: Float32Array
  filters: number
  groups: number
  bias?: Float32Array | undefined
}

function addConv(build: Build, input: Layer, { kernel, filters, groups, bias }: ConvWeights): Layer {
  const window = windowOf(build)
  const operation: Conv = { kind: 'conv', kernel, bias: bias ?? biasOf(build, filters), groups, ...window }
  return build.add({ operation, inputs: [input], shape: [...convolvedSize(build, input, window), filters] })
}

function addPointwise(
  build: Build,
  input: Layer,
  { kernel, bias }: { kernel: Float32Array; bias: Float32Array }
): Layer {
  const [height, width] = imageShape(input)
  const operation: Conv = {
    kind: 'conv',
    kernel,
    bias,
    groups: 1,
    kernelSize: [1, 1],
    strides: [1, 1],
    dilation: [1, 1],
    padding: 'valid'
  }
  return build.add({ operation, inputs: [input], shape: [height, width, bias.length] })
}

type ConvWindow = Pick<Conv, 'kernelSize' | 'strides' | 'dilation' | 'padding'>

function windowOf({ options }: Build): ConvWindow {
  options.assertChannelsLast()
  return {
    kernelSize: options.pair('kernel_size', [1, 1]),
    strides: options.pair('strides', [1, 1]),
    dilation: options.pair('dilation_rate', [1, 1]),
    padding: options.padding()
  }
}

function convolvedSize({ layer }: Build, input: Layer, { kernelSize, strides, dilation, padding }: ConvWindow): Pair {
  const [height, width] = imageShape(input)
  const rows = windowCount({
    input: height,
    kernel: dilatedSize(kernelSize[0], dilation[0]),
    stride: strides[0],
    padding
  })
  const columns = windowCount({
    input: width,
    kernel: dilatedSize(kernelSize[1], dilation[1]),
    stride: strides[1],
    padding
  })
  if (rows < 1 || columns < 1)
    throw new KerasError(`${describeLayer(layer)}: its kernel is larger than its input of ${height} × ${width}`)
  return [rows, columns]
}

/** Undefined where the kernel alone says it: a built-in architecture serves any width of the network. */
function filtersOf({ options }: Build, field: 'filters' | 'units' = 'filters'): number | undefined {
  return options.get(field) === undefined ? undefined : options.number(field, 0)
}

/** TensorFlow.js leaves it out when it saves a SeparableConv2D. */
function multiplierOf({ options }: Build): number | undefined {
  return options.get('depth_multiplier') === undefined ? undefined : options.number('depth_multiplier', 1)
}

function biasOf({ options, weight }: Build, filters: number): Float32Array {
  return options.flag('use_bias', true) ? weight('bias', [filters]).data : new Float32Array(filters)
}

import { dilatedSize, type LayerOf, type Pair, type Shape } from './ir.ts'

/** A layer of TensorFlow.js, with its weights by the names that it has for them. */
export interface TfjsLayer {
  className: string
  config?: Readonly<Record<string, unknown>>
  weights?: Readonly<Record<string, Weight>>
}
export interface Weight {
  shape: Shape
  data: Float32Array
}

export function convolution(layer: LayerOf<'conv'>, channels: number, activation: string): TfjsLayer {
  const { kernel: data, kernelSize, groups, bias } = layer
  const config = {
    kernel_size: kernelSize,
    strides: layer.strides,
    dilation_rate: layer.dilation,
    padding: layer.padding,
    data_format: 'channels_last',
    activation
  }
  if (groups === channels && groups > 1) {
    const multiplier = bias.length / channels
    const spread = undilated(layer)
    const weights = {
      depthwise_kernel: { shape: [...spread.size, channels, multiplier], data: spread.kernel },
      bias: vector(bias)
    }
    return {
      className: 'DepthwiseConv2D',
      config: { ...config, kernel_size: spread.size, dilation_rate: [1, 1], depth_multiplier: multiplier },
      weights
    }
  }
  const kernel = {
    shape: [...kernelSize, channels, bias.length],
    data: groups === 1 ? data : ungrouped(layer, channels)
  }
  return { className: 'Conv2D', config: { ...config, filters: bias.length }, weights: { kernel, bias: vector(bias) } }
}

/** TensorFlow.js' DepthwiseConv2D forgets its dilation: the same as a larger kernel that is 0 between the taps. */
function undilated({ kernel, kernelSize: [height, width], dilation: [down, across] }: LayerOf<'conv'>): {
  size: Pair
  kernel: Float32Array
} {
  const size: Pair = [dilatedSize(height, down), dilatedSize(width, across)]
  const filters = kernel.length / height / width
  const spread = new Float32Array(size[0] * size[1] * filters)
  for (let tap = 0; tap < height * width; tap++) {
    const [row, column] = [Math.floor(tap / width) * down, (tap % width) * across]
    spread.set(kernel.subarray(tap * filters, (tap + 1) * filters), (row * size[1] + column) * filters)
  }
  return { size, kernel: spread }
}

/** TensorFlow.js has no groups: the same as one convolution whose kernel is 0 for the channels of the other groups. */
function ungrouped({ kernel, kernelSize, groups, bias }: LayerOf<'conv'>, channels: number): Float32Array {
  const filters = bias.length
  const [inside, outside] = [channels / groups, filters / groups]
  const full = new Float32Array(kernelSize[0] * kernelSize[1] * channels * filters)
  kernel.forEach((value, i) => {
    const filter = i % filters
    const tap = Math.floor(i / filters / inside)
    const channel = (Math.floor(i / filters) % inside) + Math.floor(filter / outside) * inside
    full[(tap * channels + channel) * filters + filter] = value
  })
  return full
}

export function vector(data: Float32Array): Weight {
  return { shape: [data.length], data }
}

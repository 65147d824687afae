import { KerasError } from './error.ts'

/** Sizes of a tensor without its batch; an image is [height, width, channels], whatever the artifact's layout. */
export type Shape = readonly number[]
export type Pair = readonly [number, number]
/** `same` pads as TensorFlow does: so that a stride of s divides the size by s, with the odd pixel below and to the right. */
export type Padding = 'same' | 'valid'

export interface Conv {
  kind: 'conv'
  /** [height, width, input channels ÷ groups, output channels]; as many groups as input channels is a depthwise convolution. */
  kernel: Float32Array
  bias: Float32Array
  kernelSize: Pair
  strides: Pair
  dilation: Pair
  padding: Padding
  groups: number
}

/** Over the last axis; the kernel is [inputs, outputs]. */
export interface Dense {
  kind: 'dense'
  kernel: Float32Array
  bias: Float32Array
}
/** x · scale + offset for each channel: all that normalization is at inference. */
export interface Affine {
  kind: 'affine'
  scale: Float32Array
  offset: Float32Array
}
export interface Pool {
  kind: 'pool'
  reduce: 'max' | 'average'
  size: Pair
  strides: Pair
  padding: Padding
}
export interface Pad {
  kind: 'pad'
  top: number
  bottom: number
  left: number
  right: number
}

/** Of an image, to the layer's size, by a matrix for each axis: that covers every separable way of resampling. */
export interface Resize {
  kind: 'resize'
  /** [new height, height]. */
  rows: Float32Array
  /** [width, new width]. */
  columns: Float32Array
}
export interface Crop {
  kind: 'crop'
  top: number
  left: number
}
export interface LayerNormalization {
  kind: 'layerNormalization'
  scale: Float32Array
  offset: Float32Array
  epsilon: number
}

/** `gelu` is x · Φ(x). */
export type ElementwiseFunction =
  'elu' | 'sigmoid' | 'tanh' | 'swish' | 'selu' | 'softplus' | 'softsign' | 'gelu' | 'mish'

export type Operation =
  | Conv
  | Dense
  | Affine
  | Pool
  | Pad
  | { kind: 'input' }
  | { kind: 'relu'; max: number }
  | { kind: 'leakyRelu'; slope: number }
  /** x where it is over the threshold, else 0. */
  | { kind: 'thresholdedRelu'; threshold: number }
  | { kind: 'elementwise'; function: ElementwiseFunction }
  /** x where it is over 0, else slope · x; the slopes have the layer's shape, with 1 where one is shared along an axis. */
  | { kind: 'prelu'; slope: Float32Array; slopeShape: Shape }
  /** Over the last axis. */
  | { kind: 'softmax' }
  | { kind: 'logSoftmax' }
  /** (x − mean) ÷ √(variance + epsilon) · scale + offset, with mean and variance over the last axis of each position. */
  | LayerNormalization
  | Resize
  | Crop
  /** One value a channel; the shape says whether [1, 1, channels] or [channels]. */
  | { kind: 'globalPool'; reduce: 'max' | 'average' }
  /** Inputs of one rank; an axis of size 1 is repeated to the size of the others'. */
  | { kind: 'add' }
  | { kind: 'multiply' }
  | { kind: 'maximum' }
  | { kind: 'minimum' }
  /** The axis is an index into the shape. */
  | { kind: 'concatenate'; axis: number }
  /** To the layer's shape, in Keras' order of the elements. */
  | { kind: 'reshape' }

export type Layer = Operation & { name: string; inputs: readonly string[]; shape: Shape }
export type LayerOf<Kind extends Layer['kind']> = Extract<Layer, { kind: Kind }>

export const architectureNames = ['resnet50', 'mobilenetv2', 'efficientnetb0'] as const
export type ArchitectureName = (typeof architectureNames)[number]

export interface Size {
  width: number
  height: number
}
export type Activation = 'softmax' | 'logits' | 'sigmoid'
/** The range of the numbers that the first layers turn into what the network was trained with, and those layers. */
export interface Pixels {
  range: '0-255' | '0-1'
  from: string
}

/** An image classifier as all readers make it and all writers take it. */
export interface Network {
  name: string
  /** The names of the models that it was made of, outermost first. */
  models: readonly string[]
  input: Size
  classes: number
  /** What the last layer gives: a score for each class, or with `sigmoid` one unit, the probability of the second of two. */
  activation: Activation
  /** The layer, or layers, that tell it. */
  activationFrom: string
  /** What the layers at the front show about the numbers that it takes for pixels; absent where there are none. */
  pixels?: Pixels
  /** The well-known network whose layers it has, by which preprocessing can be chosen. */
  architecture?: ArchitectureName
  /** Each after its inputs: the first is the input, the last the output. Names are unique. */
  layers: readonly Layer[]
}

export function sizeOf(shape: Shape): number {
  return shape.reduce((product, size) => product * size, 1)
}

/** [height, width, channels] of a layer that must be an image. */
export function imageShape({ name, shape }: Layer): [number, number, number] {
  const [height, width, channels] = shape
  if (shape.length !== 3 || height === undefined || width === undefined || channels === undefined) {
    throw new KerasError(`layer "${name}" gives ${describeShape(shape)} where height × width × channels is needed`)
  }
  return [height, width, channels]
}

export function channelsOf(shape: Shape): number {
  return shape.at(-1) ?? 1
}

export function describeShape(shape: ReadonlyArray<number | undefined>): string {
  return shape.length === 0 ? 'a single number' : shape.map(size => size ?? 'any').join(' × ')
}

/** How the window of a convolution or a pool lies on one axis. */
export interface Window {
  input: number
  kernel: number
  stride: number
  padding: Padding
}

/** Positions of the window; less than 1 if it doesn't fit. */
export function windowCount({ input, kernel, stride, padding }: Window): number {
  return padding === 'same' ? Math.ceil(input / stride) : Math.floor((input - kernel) / stride) + 1
}

/** Pixels of padding before and after. */
export function windowPadding(window: Window): Pair {
  if (window.padding === 'valid') return [0, 0]
  const total = Math.max(0, (windowCount(window) - 1) * window.stride + window.kernel - window.input)
  return [Math.floor(total / 2), Math.ceil(total / 2)]
}

/** A kernel of `size` whose taps are `dilation` apart covers this many pixels. */
export function dilatedSize(size: number, dilation: number): number {
  return (size - 1) * dilation + 1
}

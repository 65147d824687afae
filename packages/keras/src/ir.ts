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
  | { kind: 'elementwise'; function: 'elu' | 'sigmoid' | 'tanh' | 'swish' | 'selu' | 'softplus' | 'softsign' }
  /** Over the last axis. */
  | { kind: 'softmax' }
  /** One value a channel; the shape says whether [1, 1, channels] or [channels]. */
  | { kind: 'globalPool'; reduce: 'max' | 'average' }
  /** Inputs of one rank; an axis of size 1 is repeated to the size of the others'. */
  | { kind: 'add' }
  | { kind: 'multiply' }
  /** The axis is an index into the shape. */
  | { kind: 'concatenate'; axis: number }
  /** To the layer's shape, in Keras' order of the elements. */
  | { kind: 'reshape' }

export type Layer = Operation & { name: string; inputs: readonly string[]; shape: Shape }
export type LayerOf<Kind extends Layer['kind']> = Extract<Layer, { kind: Kind }>

export const architectureNames = ['resnet50', 'mobilenetv2', 'efficientnetb0'] as const
export type ArchitectureName = (typeof architectureNames)[number]

/** An image classifier as all readers make it and all writers take it. */
export interface Network {
  name: string
  input: { width: number; height: number }
  classes: number
  /** What the last layer gives. */
  activation: 'softmax' | 'logits'
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

import { isConfig } from '../config.ts'
import { KerasError } from '../error.ts'
import { channelsOf, imageShape, type Layer } from '../ir.ts'
import { describeLayer, numbersIn } from '../options.ts'
import { onlyInput, type Build } from './builder.ts'

/** x[..., ::-1], which turns RGB into BGR, or x[..., 2], one channel, to be stacked again. */
export function getItem(build: Build): Layer {
  const input = onlyInput(build)
  const channels = channelsOf(input.shape)
  const key = indexOfLastAxis(build, input)
  if (typeof key === 'number') return addSelection(build, input, [key < 0 ? channels + key : key])
  const { start, stop, step } = isConfig(key) ? sliceOf(key) : {}
  if (!isNothing(start) || !isNothing(stop)) return refuse(build)
  if (step === -1) return addSelection(build, input, backwards(channels))
  return isNothing(step) || step === 1 ? input : refuse(build)
}

/** Along the last axis. */
export function reverse(build: Build): Layer {
  const input = onlyInput(build)
  const { layer, options } = build
  const named = layer.call?.named['axis'] ?? layer.call?.positional[1]
  const axes = numbersIn(named !== undefined && 'value' in named ? named.value : options.get('axis'))
  const isLast = axes.length === 1 && (axes[0] === -1 || axes[0] === input.shape.length)
  return isLast ? addSelection(build, input, backwards(channelsOf(input.shape))) : refuse(build)
}

/** Single channels of one image, put together again in another order: how Keras 3 turns RGB into BGR. */
export function stack(build: Build): Layer {
  const { inputs, options, layer } = build
  const named = layer.call?.named['axis']
  const axis = (named !== undefined && 'value' in named ? named.value : undefined) ?? options.get('axis')
  const picked = inputs.map(selectedChannel)
  const [source] = picked.map(pick => pick?.from)
  const isOneImage = source !== undefined && picked.every(pick => pick?.from === source)
  if (!isOneImage || (axis !== -1 && axis !== 3)) return refuse(build)
  const image = build.layerNamed(source)
  return addSelection(
    build,
    image,
    picked.flatMap(pick => pick?.channel ?? [])
  )
}

/** Which channel of which layer a layer is, where it is one. */
function selectedChannel(layer: Layer): { from: string; channel: number } | undefined {
  const from = layer.inputs[0]
  if (layer.kind !== 'conv' || !isSelection(layer) || layer.bias.length !== 1 || from === undefined) return undefined
  return { from, channel: layer.kernel.indexOf(1) }
}

/** Whether a layer only picks and reorders channels. */
export function isSelection(layer: Layer): boolean {
  if (layer.kind !== 'conv' || layer.kernelSize[0] * layer.kernelSize[1] !== 1) return false
  const filters = layer.bias.length
  const counts = layer.bias.map(
    (_, filter) => layer.kernel.filter((value, i) => i % filters === filter && value === 1).length
  )
  return (
    layer.bias.every(value => value === 0) &&
    layer.kernel.every(value => value === 0 || value === 1) &&
    counts.every(count => count === 1)
  )
}

/** As a convolution of 1 × 1, which every format has and into which normalization folds. */
function addSelection(build: Build, input: Layer, order: readonly number[]): Layer {
  const [height, width, channels] = imageShape(input)
  if (order.some(channel => channel < 0 || channel >= channels)) return refuse(build)
  const kernel = new Float32Array(channels * order.length)
  order.forEach((channel, filter) => (kernel[channel * order.length + filter] = 1))
  return build.add({
    operation: {
      kind: 'conv',
      kernel,
      bias: new Float32Array(order.length),
      groups: 1,
      kernelSize: [1, 1],
      strides: [1, 1],
      dilation: [1, 1],
      padding: 'valid'
    },
    inputs: [input],
    shape: [height, width, order.length]
  })
}

/** The index or slice of the last axis; whatever stands for the others must take all of them. */
function indexOfLastAxis(build: Build, input: Layer): unknown {
  const { positional = [], named = {} } = build.layer.call ?? {}
  const argument = named['slice_spec'] ?? named['key'] ?? positional[1]
  const spec: unknown = argument !== undefined && 'value' in argument ? argument.value : undefined
  const indices = Array.isArray(spec) ? spec : []
  const others = indices.slice(0, -1)
  const takesAll = others.every(
    index => index === '...' || (isConfig(index) && Object.values(sliceOf(index)).every(isNothing))
  )
  const reachesLast = indices.includes('...') || indices.length === input.shape.length + 1
  return takesAll && reachesLast && indices.length > 0 ? indices.at(-1) : refuse(build)
}

function sliceOf(index: Readonly<Record<string, unknown>>): { start: unknown; stop: unknown; step: unknown } {
  const { start, stop, step } = isConfig(index['config']) ? index['config'] : index
  return { start, stop, step }
}

function isNothing(value: unknown): boolean {
  return value === undefined || value === null
}

function backwards(channels: number): number[] {
  return Array.from({ length: channels }, (_, i) => channels - 1 - i)
}

function refuse({ layer }: Build): never {
  throw new KerasError(
    `${describeLayer(layer)}: of slices and stacks only those that reverse or reorder an image's channels are supported`
  )
}

import { type Layer, type Pixels } from './ir.ts'
import { isSelection } from './layers/channels.ts'
import { rangeOf } from './range.ts'

/** Layers that prepare pixels, by their class in Keras; batch normalization is not one: its numbers need not be those of pixels. */
export interface Front {
  layers: readonly Layer[]
  /** Names of the layers that were made from Rescaling, Normalization or an operator. */
  prepared: ReadonlySet<string>
}

/**
 * What the layers in front of everything else show about the numbers that they take: `undefined` where there are none. Every way
 * from the input must say the same.
 */
export function readFront({ layers, prepared }: Front): Pixels | undefined {
  const [input] = layers
  if (input === undefined) return undefined
  const paths = layers
    .filter(layer => layer.inputs.includes(input.name))
    .map(first => readPath(layers, first, prepared))
  const [path] = paths
  return path !== undefined && paths.every(other => other?.range === path.range) ? path : undefined
}

function readPath(layers: readonly Layer[], first: Layer, prepared: ReadonlySet<string>): Pixels | undefined {
  const steps = preparing(layers, first, prepared)
  const scales = steps.flatMap(layer => (layer.kind === 'affine' ? [layer] : []))
  if (scales.length === 0) return undefined
  const range = rangeOf(...combined(scales))
  const names = scales.map(({ name }) => `"${name}"`).join(', ')
  return range && { range, from: `the model prepares pixels itself: ${names}` }
}

/** Factors and means of all steps together, by channel. */
function combined(scales: ReadonlyArray<Extract<Layer, { kind: 'affine' }>>): [factors: number[], means: number[]] {
  const at = (values: Float32Array, channel: number) => values[values.length === 1 ? 0 : channel] ?? 0
  const steps = [0, 1, 2].map(channel =>
    scales.reduce(
      ({ factor, offset }, layer) => ({
        factor: factor * at(layer.scale, channel),
        offset: offset * at(layer.scale, channel) + at(layer.offset, channel)
      }),
      { factor: 1, offset: 0 }
    )
  )
  return [steps.map(({ factor }) => factor), steps.map(({ factor, offset }) => -offset / factor)]
}

/** The layers from `first` on that only prepare, as far as there is one way. */
function preparing(layers: readonly Layer[], first: Layer, prepared: ReadonlySet<string>): Layer[] {
  const prepares = (layer: Layer) =>
    prepared.has(layer.name) && (layer.kind === 'affine' || isSelection(layer) || layer.kind === 'resize')
  const steps: Layer[] = []
  let next: Layer | undefined = first
  while (next !== undefined && prepares(next)) {
    steps.push(next)
    const { name }: Layer = next
    const readers: Layer[] = layers.filter(({ inputs }) => inputs.includes(name))
    next = readers.length === 1 ? readers[0] : undefined
  }
  return steps
}

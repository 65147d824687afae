import { type Layer, type Pixels } from './ir.ts'
import { isSelection } from './layers/channels.ts'

/** Layers that prepare pixels, by their class in Keras; batch normalization is not one: its numbers need not be those of pixels. */
export interface Front {
  layers: readonly Layer[]
  /** Names of the layers that were made from Rescaling, Normalization or an operator. */
  prepared: ReadonlySet<string>
}

/**
 * Pixels of 0–255 come out of the first layers within ±255 of 0 at the very most (Keras' caffe mode, 0–255 less a mean, does the
 * most); statistics of pixels of 0–1 would blow them up to ±1,000.
 */
const widestRange = 300

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
  const [last] = scales
  if (last === undefined) return undefined
  const factor = scales.reduce((product, { scale }) => product * Math.max(...scale.map(Math.abs)), 1)
  const names = scales.map(({ name }) => `"${name}"`).join(', ')
  return { range: 255 * factor > widestRange ? '0-1' : '0-255', from: `the model prepares pixels itself: ${names}` }
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

import { type Affine, type Layer, type LayerOf } from './ir.ts'

type Foldable = LayerOf<'conv' | 'dense' | 'affine'>

/**
 * The same layers with each scale and offset taken into the weights of the convolution, dense layer or scale and offset
 * before it. That is exact where nothing else reads what comes between; elsewhere the layer stays.
 */
export function foldAffine(layers: readonly Layer[]): Layer[] {
  const folded: Layer[] = []
  /** Where a layer's output now is. */
  const moved = new Map<string, string>()
  const readers = countReaders(layers)

  for (const layer of layers) {
    const inputs = layer.inputs.map(name => moved.get(name) ?? name)
    const index = folded.findIndex(({ name }) => name === inputs[0])
    const before = folded[index]
    if (
      layer.kind === 'affine' &&
      before !== undefined &&
      isFoldable(before) &&
      readers.get(layer.inputs[0] ?? '') === 1
    ) {
      folded[index] = scaled(before, layer)
      moved.set(layer.name, before.name)
    } else {
      folded.push({ ...layer, inputs })
    }
  }
  return folded
}

function countReaders(layers: readonly Layer[]): Map<string, number> {
  const readers = new Map<string, number>()
  for (const name of layers.flatMap(({ inputs }) => inputs)) readers.set(name, (readers.get(name) ?? 0) + 1)
  return readers
}

function isFoldable(layer: Layer): layer is Foldable {
  return layer.kind === 'conv' || layer.kind === 'dense' || layer.kind === 'affine'
}

function scaled(before: Foldable, { scale, offset }: Affine): Layer {
  // The output channels are a kernel's last axis.
  const times = (values: Float32Array) => values.map((value, i) => value * (scale[i % scale.length] ?? 0))
  const timesPlus = (values: Float32Array) => values.map((value, i) => value * (scale[i] ?? 0) + (offset[i] ?? 0))
  return before.kind === 'affine'
    ? { ...before, scale: times(before.scale), offset: timesPlus(before.offset) }
    : { ...before, kernel: times(before.kernel), bias: timesPlus(before.bias) }
}

import { KerasError } from './error.ts'
import { describeShape, type Shape } from './ir.ts'
import { describeLayer } from './options.ts'
import { type KerasLayer } from './topology.ts'

/** A tensor in a file, read when it is needed. */
export interface StoredTensor {
  name: string
  shape: Shape
  read: () => Float32Array
}

export type WeightKind =
  | 'kernel'
  | 'depthwise_kernel'
  | 'pointwise_kernel'
  | 'bias'
  | 'gamma'
  | 'beta'
  | 'moving_mean'
  | 'moving_variance'
  | 'mean'
  | 'variance'
  | 'count'
  | 'alpha'

/** The tensors of each layer, in the order of `weightKinds`, by the layer's name. */
export type Weights = ReadonlyMap<string, readonly StoredTensor[]>

/** What a layer keeps in a weights file, in Keras' order; nothing for a layer without weights. */
export function weightKinds({ className, config }: KerasLayer): WeightKind[] {
  const bias: WeightKind[] = config['use_bias'] === false ? [] : ['bias']
  switch (className) {
    case 'Conv2D':
    case 'Dense':
      return ['kernel', ...bias]
    case 'DepthwiseConv2D':
      return ['depthwise_kernel', ...bias]
    case 'SeparableConv2D':
      return ['depthwise_kernel', 'pointwise_kernel', ...bias]
    case 'BatchNormalization':
      return [...normalizationKinds(config), 'moving_mean', 'moving_variance']
    case 'LayerNormalization':
      return normalizationKinds(config)
    case 'PReLU':
      return ['alpha']
    case 'Normalization':
      return config['mean'] === undefined || config['mean'] === null ? ['mean', 'variance', 'count'] : []
    default:
      return []
  }
}

function normalizationKinds(config: KerasLayer['config']): WeightKind[] {
  return [
    ...(config['scale'] === false ? [] : ['gamma' as const]),
    ...(config['center'] === false ? [] : ['beta' as const])
  ]
}

/** One tensor of a layer, of the shape that the layer's place in the network asks for; `undefined` stands for any size. */
export function takeWeight(
  weights: Weights,
  layer: KerasLayer,
  { kind, shape }: { kind: WeightKind; shape: ReadonlyArray<number | undefined> }
): { data: Float32Array; shape: Shape } {
  const stored = weights.get(layer.name)?.[weightKinds(layer).indexOf(kind)]
  if (stored === undefined) throw new KerasError(`${describeLayer(layer)}: the file has no "${kind}" for it`)
  const fits =
    stored.shape.length === shape.length && shape.every((size, i) => size === undefined || size === stored.shape[i])
  if (!fits)
    throw new KerasError(
      `${describeLayer(layer)}: "${stored.name}" is ${describeShape(stored.shape)}, but ${describeShape(shape)} is needed`
    )
  return { data: stored.read(), shape: stored.shape }
}

/** Checks that a layer's tensors are as many as it has weights. */
export function inOrder(layer: KerasLayer, tensors: readonly StoredTensor[]): readonly StoredTensor[] {
  const kinds = weightKinds(layer)
  if (tensors.length === kinds.length) return tensors
  throw new KerasError(
    `${describeLayer(layer)}: the file has ${tensors.length} weights for it, ${kinds.length} are needed (${kinds.join(', ')})`
  )
}

/**
 * The tensors of a layer that lie among those of others, named `…/layer/kind`, with a `:0` in Keras 2. Where two layers of
 * nested models have one name, the model's name before it decides.
 */
export function byName(layer: KerasLayer, tensors: readonly StoredTensor[]): readonly StoredTensor[] {
  return weightKinds(layer).map(kind => {
    for (let depth = 1; depth <= layer.path.length; depth++) {
      const found = namedLike(tensors, layer.path.slice(-depth), kind)
      const [only] = found
      if (only !== undefined && found.length === 1) return only
      if (only === undefined) break
    }
    throw new KerasError(
      `${describeLayer(layer)}: the file has no "${kind}" that is surely its own; it has ${listSome(tensors)}`
    )
  })
}

function namedLike(tensors: readonly StoredTensor[], path: readonly string[], kind: WeightKind): StoredTensor[] {
  const endings = aliases(kind).map(alias => `/${[...path, alias].join('/')}`)
  return tensors.filter(({ name }) => endings.some(ending => `/${name.replace(/:\d+$/, '')}`.endsWith(ending)))
}

/** Keras 3 calls the kernel of a depthwise convolution just so. */
function aliases(kind: WeightKind): string[] {
  return kind === 'depthwise_kernel' ? ['depthwise_kernel', 'kernel'] : [kind]
}

function listSome(tensors: readonly StoredTensor[]): string {
  const names = tensors.map(({ name }) => `"${name}"`)
  return names.length === 0
    ? 'nothing there'
    : names.length <= 8
      ? names.join(', ')
      : `${names.slice(0, 8).join(', ')} and ${names.length - 8} more`
}

import { KerasError } from './error.ts'
import { architectures, storedName, type Architecture } from './architectures.ts'
import { imageNetDeviations } from './architectures/efficientnetb0.ts'
import { buildNetwork } from './build.ts'
import { groupAt, listedTensors, namesAttribute, type Group } from './h5.ts'
import { architectureNames, type ArchitectureName, type Network } from './ir.ts'
import { containers, numberedTensors, snakeCase } from './stored.ts'
import { type KerasLayer } from './topology.ts'
import { inOrder, weightKinds, type StoredTensor, type Weights } from './weights.ts'

/** Tensors by the key under which a file keeps a layer's. */
type Stored = ReadonlyMap<string, readonly StoredTensor[]>
/** The key of each layer that has weights, by the layer's name. */
type Keys = ReadonlyMap<string, string>

/** A network from the weights that Keras 2, and Keras' own downloads, keep by the names of the layers. */
export function fitLegacyWeights(root: Group, wanted: ArchitectureName | undefined): Network {
  const stored = new Map<string, StoredTensor[]>()
  for (const name of namesAttribute(root, 'layer_names') ?? []) {
    const group = groupAt(root, name)
    const tensors = group === undefined ? [] : listedTensors(group)
    if (tensors.length > 0) stored.set(name.replace(/^normalization_\d+$/, 'normalization'), tensors)
  }
  return fit(stored, { wanted, keysOf: keysByName })
}

/** A network from the weights that Keras 3 keeps by the classes of the layers, numbered in the model's order. */
export function fitWeights(root: Group, wanted: ArchitectureName | undefined): Network {
  const stored = new Map<string, StoredTensor[]>()
  const container = containers.find(name => groupAt(root, name) !== undefined) ?? 'layers'
  const layers = groupAt(root, container)
  for (const key of layers?.keys() ?? []) {
    const group = layers === undefined ? undefined : groupAt(layers, key)
    const tensors = group === undefined ? [] : numberedTensors(group)
    if (tensors.length > 0) stored.set(key, tensors)
  }
  // TensorFlow 2.12 and 2.13 counted layers with weights twice.
  const step = container === 'layers' ? 1 : 2
  return fit(stored, { wanted, keysOf: layers => keysByClass(layers, step) })
}

/** The architecture whose layers with weights are exactly those in the file. */
function fit(
  stored: Stored,
  { wanted, keysOf }: { wanted: ArchitectureName | undefined; keysOf: (layers: readonly KerasLayer[]) => Keys }
): Network {
  const candidates = architectures()
    .filter(({ name }) => wanted === undefined || name === wanted)
    .map(architecture => ({ ...architecture, keys: keysOf(architecture.layers) }))
  const fitting = candidates.filter(({ keys }) => misfit(stored, keys) === undefined)
  const chosen =
    fitting.find(({ layers, keys }) => dividesTwice(layers) === holdsDeviations(stored, keys)) ?? fitting[0]
  if (chosen === undefined) throw new KerasError(explain(stored, wanted, candidates[0]?.keys))

  const { name, layers, keys } = chosen
  const weights: Weights = new Map(
    layers.map(layer => [layer.name, inOrder(layer, stored.get(keys.get(layer.name) ?? '') ?? [])])
  )
  return buildNetwork({ topology: { name, models: [name], layers }, weights, kerasVersion: 3, architecture: name })
}

function explain(stored: Stored, wanted: ArchitectureName | undefined, keys: Keys | undefined): string {
  const advice = "a whole model saved with model.save('….h5') always says what it is"
  if (wanted !== undefined && keys !== undefined)
    return `these are not the weights of a whole ${wanted}: ${misfit(stored, keys) ?? ''}; ${advice}`
  const some = [...stored.keys()].slice(0, 4).join(', ')
  return (
    `weights alone, of a network that is not known by its layers (${some} …): ` +
    `those of ${architectureNames.join(', ')}, with their classifier, are; ${advice}`
  )
}

/** What keeps a file's weights from being those of a network; undefined if they are. */
function misfit(stored: Stored, keys: Keys): string | undefined {
  const needed = new Set(keys.values())
  const missing = [...needed].find(key => !stored.has(key))
  if (missing !== undefined) return `there are none for "${missing}"`
  const unknown = [...stored.keys()].find(key => !needed.has(key))
  return unknown === undefined ? undefined : `it has no layer "${unknown}"`
}

function keysByName(layers: readonly KerasLayer[]): Keys {
  return new Map(layers.filter(hasWeights).map(layer => [layer.name, storedName(layer)]))
}

/** `conv2d`, `conv2d_1` … as Keras counts them. */
function keysByClass(layers: readonly KerasLayer[], step: 1 | 2): Keys {
  const counts = new Map<string, number>()
  const keys = new Map<string, string>()
  for (const layer of inKerasOrder(layers)) {
    const name = snakeCase(layer.className)
    const count = counts.get(name) ?? 0
    counts.set(name, count + (hasWeights(layer) ? step : 1))
    if (hasWeights(layer)) keys.set(layer.name, count === 0 ? name : `${name}_${count}`)
  }
  return keys
}

function hasWeights(layer: KerasLayer): boolean {
  return weightKinds(layer).length > 0
}

/**
 * The order of `model.layers` (keras/src/ops/function.py): by the longest way to the output, the farthest first; those equally far
 * as they are met on the way back from it.
 */
function inKerasOrder(layers: readonly KerasLayer[]): KerasLayer[] {
  const byName = new Map(layers.map(layer => [layer.name, layer]))
  const depths = new Map<string, number>()
  for (const { name, inputs } of layers.toReversed()) {
    for (const input of inputs) depths.set(input, Math.max(depths.get(input) ?? 0, (depths.get(name) ?? 0) + 1))
  }

  const met = new Set<KerasLayer>()
  function meet(layer: KerasLayer | undefined): void {
    if (layer === undefined || met.has(layer)) return
    met.add(layer)
    for (const input of layer.inputs) meet(byName.get(input))
  }
  meet(layers.at(-1))
  return [...met].sort((a, b) => (depths.get(b.name) ?? 0) - (depths.get(a.name) ?? 0))
}

function dividesTwice(layers: Architecture['layers']): boolean {
  return layers.filter(({ className }) => className === 'Rescaling').length > 1
}

/** Whether the normalization at the front is that of Keras' ImageNet weights: deviations in place of the variances. */
function holdsDeviations(stored: Stored, keys: Keys): boolean {
  const [, variance] = stored.get(keys.get('normalization') ?? '') ?? []
  return variance?.read().every((value, i) => Math.abs(value - (imageNetDeviations[i] ?? 0)) < 1e-6) ?? false
}

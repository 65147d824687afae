import { KerasError } from './error.ts'
import { groupAt, tensorAt, type Group } from './h5.ts'
import { inOrder, weightKinds, type StoredTensor, type Weights } from './weights.ts'
import { isModel, parseNode, type KerasLayer, type Node } from './topology.ts'

/** The group that holds a model's layers: of Keras 2.14 on, and of TensorFlow 2.12 and 2.13. */
export const containers = ['layers', '_layer_checkpoint_dependencies'] as const

/** The weights of a `.weights.h5` beside the configuration of its model, by the layers' places in that. Throws a KerasError. */
export function storedWeights(root: Group, model: unknown, layers: readonly KerasLayer[]): Weights {
  const groups = new Map<string, Group>()
  collect(root, { node: parseNode(model), path: [] }, groups)
  return new Map(
    layers.map(layer => {
      const group = weightKinds(layer).length === 0 ? undefined : groups.get(keyOf(layer.path))
      return [layer.name, inOrder(layer, group === undefined ? [] : numberedTensors(group))]
    })
  )
}

function keyOf(path: readonly string[]): string {
  return JSON.stringify(path)
}

/**
 * Each layer's group. Keras names them by class, numbered in the model's order; TensorFlow 2.12 and 2.13 counted some layers
 * twice, so only the order of the numbers tells.
 */
function collect(
  group: Group,
  { node, path }: { node: Node; path: readonly string[] },
  groups: Map<string, Group>
): void {
  const container = containers.map(name => groupAt(group, name)).find(found => found !== undefined)
  if (container === undefined) return
  const own = ownLayers(node).map(layer => ({ ...layer, key: snakeCase(layer.className) }))
  for (const className of new Set(own.map(({ key }) => key))) {
    const layers = own.filter(({ key }) => key === className)
    const keys = numbered(container.keys(), className)
    if (keys.length !== layers.length)
      throw new KerasError(
        `model "${node.name}": the file has weights for ${keys.length} layers of the class "${className}", ` +
          `its configuration has ${layers.length}: a layer that two models share can't be told; save it as .h5`
      )
    layers.forEach((layer, i) => {
      const found = groupAt(container, keys[i] ?? '')
      if (found === undefined) return
      const ownPath = [...path, layer.name]
      groups.set(keyOf(ownPath), found)
      if (isModel(layer)) collect(found, { node: layer, path: ownPath }, groups)
    })
  }
}

function ownLayers({ layers }: Node): Node[] {
  return layers.map(parseNode).filter(({ isOperator, className }) => !isOperator && className !== 'InputLayer')
}

function numbered(keys: readonly string[], className: string): string[] {
  const numberOf = (key: string) => (key === className ? 0 : Number(key.slice(className.length + 1)))
  return keys
    .filter(key => key === className || new RegExp(`^${className}_\\d+$`).test(key))
    .toSorted((a, b) => numberOf(a) - numberOf(b))
}

/** The tensors of a layer's group, in order. */
export function numberedTensors(group: Group): StoredTensor[] {
  const count = groupAt(group, 'vars')?.keys().length ?? 0
  return Array.from({ length: count }, (_, i) => tensorAt(group, `vars/${i}`)).filter(tensor => tensor !== undefined)
}

/** keras/src/utils/naming.py: Conv2D is `conv2d`, BatchNormalization `batch_normalization`. */
export function snakeCase(className: string): string {
  return className
    .replaceAll(/\W+/g, '')
    .replaceAll(/(.)([A-Z][a-z]+)/g, '$1_$2')
    .replaceAll(/([a-z])([A-Z])/g, '$1_$2')
    .toLowerCase()
}

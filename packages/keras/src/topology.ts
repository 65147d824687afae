import { KerasError } from './error.ts'

/** A layer as Keras describes it, out of any models it was nested in. */
export interface KerasLayer {
  /** Unique, and fit for any format: letters, digits, `.`, `_`, `-`, with `/` between the names of the path. */
  name: string
  /** Keras' own names, from the outermost model to the layer. */
  path: readonly string[]
  className: string
  config: Config
  /** Names of the layers that feed it. */
  inputs: readonly string[]
  /** The number that an operator has beside its input, as 127.5 in x / 127.5. */
  operand?: number | undefined
}

export type Config = Readonly<Record<string, unknown>>

export interface Topology {
  name: string
  /** Each after its inputs; the first is an InputLayer, the last gives the scores. */
  layers: readonly KerasLayer[]
}

const modelClasses = new Set(['Sequential', 'Functional', 'Model', 'Network'])

/** A model's configuration (`{ class_name, config }`, of Keras 2, Keras 3 or TensorFlow.js) without its nesting. Throws a KerasError. */
export function readTopology(model: unknown): Topology {
  const outer = parseNode(model)
  if (!modelClasses.has(outer.className))
    throw new KerasError(
      `the model is a ${outer.className}: only Sequential and Functional models describe their layers`
    )
  const flattened = createFlattened()
  flattenModel({ ...outer, path: [], feed: undefined }, flattened)
  const [input] = flattened.layers
  if (input?.className !== 'InputLayer') throw new KerasError('the model has no input layer')
  return { name: outer.name || 'model', layers: flattened.layers }
}

interface Node {
  className: string
  name: string
  config: Config
  layers: readonly unknown[]
  inbound: unknown
}
/** A model and the layer that feeds it: none as long as the whole model has no input yet. */
interface Nested extends Node {
  path: readonly string[]
  feed: string | undefined
}
type Flattened = ReturnType<typeof createFlattened>

function createFlattened() {
  const layers: KerasLayer[] = []
  const names = new Set<string>()

  return {
    layers,
    add({ path, ...layer }: Omit<KerasLayer, 'name'>): string {
      const wanted = path
        .map(part => part.replaceAll(/[^A-Za-z0-9._-]/g, '_').replace(/^[^A-Za-z0-9]/, 'x$&'))
        .join('/')
      let name = wanted
      for (let i = 2; names.has(name); i++) name = `${wanted}-${i}`
      names.add(name)
      layers.push({ name, path, ...layer })
      return name
    }
  }
}

/** Adds a model's layers; gives the name of the last. */
function flattenModel(model: Nested, flattened: Flattened): string {
  return model.className === 'Sequential' ? flattenSequential(model, flattened) : flattenFunctional(model, flattened)
}

function flattenSequential(model: Nested, flattened: Flattened): string {
  let last = model.feed
  for (const layer of model.layers) {
    const node = parseNode(layer)
    const needsInput = last === undefined && node.className !== 'InputLayer' && !modelClasses.has(node.className)
    if (needsInput)
      last = addInput([...model.path, `${node.name}_input`], { ...model.config, ...node.config }, flattened)
    last = addNode({ ...node, path: [...model.path, node.name] }, last === undefined ? [] : [last], flattened)
  }
  if (last === undefined) throw new KerasError(`model "${model.name}" has no layers`)
  return last
}

/** From the output backwards, so that each layer comes after its inputs and one that leads nowhere is left out. */
function flattenFunctional(model: Nested, flattened: Flattened): string {
  const nodes = new Map(model.layers.map(parseNode).map(node => [node.name, node]))
  const ends = new Map<string, string>()
  const entered = new Set<string>()
  onlyName(model, 'input_layers')

  function end(name: string): string {
    const known = ends.get(name)
    if (known !== undefined) return known
    const node = nodes.get(name)
    if (node === undefined)
      throw new KerasError(`model "${model.name}" refers to a layer "${name}" that it does not have`)
    if (entered.has(name)) throw new KerasError(`layer "${name}" is among its own inputs`)
    entered.add(name)
    const inputs = node.className === 'InputLayer' ? feedOf(model) : inboundNames(node).map(end)
    const last = addNode({ ...node, path: [...model.path, name] }, inputs, flattened)
    ends.set(name, last)
    return last
  }

  return end(onlyName(model, 'output_layers'))
}

function feedOf({ feed }: Nested): string[] {
  return feed === undefined ? [] : [feed]
}

function addNode(node: Omit<Nested, 'feed'>, inputs: string[], flattened: Flattened): string {
  const [feed] = inputs
  if (node.className === 'InputLayer') return feed ?? addInput(node.path, node.config, flattened)
  if (!modelClasses.has(node.className))
    return flattened.add({
      path: node.path,
      className: node.className,
      config: node.config,
      inputs,
      operand: operandOf(node)
    })
  if (inputs.length > 1) throw new KerasError(`model "${node.name}" has ${inputs.length} inputs: only one is supported`)
  return flattenModel({ ...node, feed }, flattened)
}

function addInput(path: readonly string[], config: Config, flattened: Flattened): string {
  const shape = config['batch_input_shape'] ?? config['batch_shape'] ?? config['build_input_shape']
  if (shape === undefined || shape === null)
    throw new KerasError(
      `layer "${path.at(-1)}": no input shape: build the model, or give it an Input layer, before saving it`
    )
  return flattened.add({ path, className: 'InputLayer', config: { shape }, inputs: [] })
}

function parseNode(value: unknown): Node {
  if (!isConfig(value) || typeof value['class_name'] !== 'string')
    throw new KerasError('the model’s configuration is not one that Keras writes: a layer has no class_name')
  // Until Keras 2.2 a Sequential's config was the list of its layers.
  const config = isConfig(value['config']) ? value['config'] : { layers: value['config'] }
  const name = String(value['name'] ?? config['name'] ?? '')
  const layers = Array.isArray(config['layers']) ? config['layers'] : []
  return { className: value['class_name'], name, config, layers, inbound: value['inbound_nodes'] }
}

/** `[["name", 0, 0]]`, or without the outer list in Keras 3. */
function onlyName(model: Nested, field: 'input_layers' | 'output_layers'): string {
  const names = historyNames(model.config[field])
  const [name] = names
  if (name === undefined || names.length > 1)
    throw new KerasError(
      `model "${model.name}": ${names.length} ${field}: only models with one input and one output are supported`
    )
  return name
}

/** The layers that feed a node. Several inbound nodes are several uses of the same weights. */
function inboundNames(node: Node): string[] {
  const uses = Array.isArray(node.inbound) ? node.inbound : []
  const isOneFlatUse = typeof uses[0]?.[0] === 'string'
  if (uses.length > 1 && !isOneFlatUse)
    throw new KerasError(
      `layer "${node.name}" (${node.className}) is used ${uses.length} times in the model: only once is supported`
    )
  const names = historyNames(uses)
  if (names.length === 0) throw new KerasError(`layer "${node.name}" (${node.className}) has no inputs`)
  return names
}

/** In Keras 2 `["name", 0, 0, { "y": number }]`, in Keras 3 the second argument. */
function operandOf(node: Pick<Node, 'inbound'>): number | undefined {
  const [use] = Array.isArray(node.inbound) ? node.inbound : []
  const [, , , keywords] = Array.isArray(use) ? use : []
  const [, second] = isConfig(use) && Array.isArray(use['args']) ? use['args'] : []
  const operand = isConfig(keywords) ? keywords['y'] : second
  return typeof operand === 'number' ? operand : undefined
}

/** Every `["name", node, tensor]` of Keras 2 and `keras_history` of Keras 3 in a nested value, in order. */
function historyNames(value: unknown): string[] {
  if (Array.isArray(value)) {
    const [name, node, tensor] = value
    const isHistory = typeof name === 'string' && typeof node === 'number' && typeof tensor === 'number'
    return isHistory ? [name] : value.flatMap(historyNames)
  }
  if (!isConfig(value)) return []
  return Object.entries(value).flatMap(([key, inner]) => (key === 'kwargs' ? [] : historyNames(inner)))
}

export function isConfig(value: unknown): value is Config {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

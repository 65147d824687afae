import { readCalls, referencesIn, type Argument, type Call, type Reference } from './calls.ts'
import { isConfig, type Config } from './config.ts'
import { KerasError } from './error.ts'

/** One use of a layer as Keras describes it, out of any models it was nested in. */
export interface KerasLayer {
  /** Unique, and fit for any format: letters, digits, `.`, `_`, `-`, with `/` between the names of the path. */
  name: string
  /** Keras' own names, from the outermost model to the layer; the same for each use of the layer. */
  path: readonly string[]
  className: string
  config: Config
  /** Names of the layers that feed it. */
  inputs: readonly string[]
  /** How it was called: needed for operators alone, whose other arguments are numbers. Inputs are places in `inputs`. */
  call?: Call<number>
}

export interface Topology {
  name: string
  /** The names of the models nested in it, outermost first, it included. */
  models: readonly string[]
  /** Each after its inputs; the first is an InputLayer, the last gives the scores. */
  layers: readonly KerasLayer[]
}

/** A model or layer in a configuration, before its uses are followed. */
export interface Node {
  className: string
  name: string
  config: Config
  /** Of a model. */
  layers: readonly unknown[]
  inbound: unknown
  /** An operator, such as the `+` of Keras 3, which is no layer though its class can be called as one. */
  isOperator: boolean
}

const modelClasses = new Set(['Sequential', 'Functional', 'Model', 'Network'])
/** ResNet152 has 515 layers and NASNetLarge 1,041; a hostile file can use a model twice in itself, thirty deep. */
const mostLayers = 20_000
const deepest = 2_500

/**
 * A model's configuration (`{ class_name, config }`, of Keras 2, Keras 3 or TensorFlow.js) without its nesting. `output` names the
 * layer that gives the scores where the model has several outputs. Throws a KerasError.
 */
export function readTopology(model: unknown, { output }: { output?: string | undefined } = {}): Topology {
  const outer = parseNode(model)
  if (!isModel(outer))
    throw new KerasError(
      `the model is a ${outer.className}: only Sequential and Functional models describe their layers; save it as one, or export it as ONNX`
    )
  const flattened = createFlattened()
  flattenModel({ ...outer, path: [], feed: undefined, output }, flattened)
  const [input] = flattened.layers
  if (input?.className !== 'InputLayer') throw new KerasError('the model has no input layer')
  return { name: outer.name || 'model', models: flattened.models, layers: flattened.layers }
}

export function isModel({ className }: Node): boolean {
  return modelClasses.has(className)
}

/** A model and the layer that feeds it: none as long as the whole model has no input yet. */
interface Nested extends Node {
  path: readonly string[]
  feed: string | undefined
  output?: string | undefined
}
type Flattened = ReturnType<typeof createFlattened>

function createFlattened() {
  const layers: KerasLayer[] = []
  const names = new Set<string>()
  const uses = new Map<string, number>()
  const models: string[] = []

  return {
    layers,
    models,
    add({ path, ...layer }: Omit<KerasLayer, 'name'>): string {
      if (layers.length >= mostLayers) throw new KerasError(`it has more than ${mostLayers} layers`)
      const wanted = path
        .map(part => part.replaceAll(/[^A-Za-z0-9._-]/g, '_').replace(/^[^A-Za-z0-9]/, 'x$&'))
        .join('/')
      let use = (uses.get(wanted) ?? 0) + 1
      while (names.has(nameOfUse(wanted, use))) use++
      uses.set(wanted, use)
      const name = nameOfUse(wanted, use)
      names.add(name)
      layers.push({ name, path, ...layer })
      return name
    }
  }
}

function nameOfUse(name: string, use: number): string {
  return use === 1 ? name : `${name}-${use}`
}

/** Adds a model's layers; gives the name of the last. */
function flattenModel(model: Nested, flattened: Flattened): string {
  flattened.models.push(model.name)
  return model.className === 'Sequential' ? flattenSequential(model, flattened) : flattenFunctional(model, flattened)
}

function flattenSequential(model: Nested, flattened: Flattened): string {
  let last = model.feed
  for (const layer of model.layers) {
    const node = parseNode(layer)
    const needsInput = last === undefined && node.className !== 'InputLayer' && !isModel(node)
    if (needsInput)
      last = addInput([...model.path, `${node.name}_input`], { ...model.config, ...node.config }, flattened)
    last = addNode({ ...node, path: [...model.path, node.name] }, inOrder(last), flattened)
  }
  if (last === undefined) throw new KerasError(`model "${model.name}" has no layers`)
  return last
}

/** What feeds a use of a layer: names of layers that are already there. */
interface Feeds {
  inputs: readonly string[]
  call?: Call<number>
}

function inOrder(last: string | undefined): Feeds {
  return { inputs: last === undefined ? [] : [last] }
}

/** From the output backwards, so that each layer comes after its inputs and one that leads nowhere is left out. */
function flattenFunctional(model: Nested, flattened: Flattened): string {
  const nodes = new Map(model.layers.map(parseNode).map(node => [node.name, node]))
  const calls = new Map([...nodes].map(([name, node]) => [name, readCalls(node.inbound)]))
  const references = [...calls.values()].flat().flatMap(inputsOf)
  const ends = new Map<string, string>()
  const entered = new Set<string>()
  onlyOne(model, 'input_layers')
  const outputs = referencesOf(model, 'output_layers')

  function end({ layer, use }: Reference): string {
    const key = `${use} ${layer}`
    const known = ends.get(key)
    if (known !== undefined) return known
    const node = nodes.get(layer)
    if (node === undefined)
      throw new KerasError(`model "${model.name}" refers to a layer "${layer}" that it does not have`)
    if (entered.has(key)) throw new KerasError(`layer "${layer}" is among its own inputs`)
    if (entered.size - ends.size > deepest) throw new KerasError(`its layers are more than ${deepest} deep`)
    entered.add(key)
    const last = addNode({ ...node, path: [...model.path, layer] }, feedsOf(node, use), flattened)
    ends.set(key, last)
    return last
  }

  function feedsOf(node: Node, use: number): Feeds {
    if (node.className === 'InputLayer') return inOrder(model.feed)
    const all = calls.get(node.name) ?? []
    const uses = [...references, ...outputs].filter(({ layer }) => layer === node.name).map(reference => reference.use)
    // To Keras 2 the making of a model is its first use, which is not among those listed.
    const offset = isModel(node) && Math.max(...uses) >= all.length ? 1 : 0
    const call = all[use - offset] ?? (all.length === 1 ? all[0] : undefined)
    if (call === undefined) throw new KerasError(`layer "${node.name}" (${node.className}) has no inputs`)
    return resolve(call, end)
  }

  return end(outputOf(model))
}

function inputsOf({ positional, named }: Call<Reference>): Reference[] {
  return [...positional, ...Object.values(named)].flatMap(argument => ('input' in argument ? [argument.input] : []))
}

/** A call with its inputs as places among the names of the layers that feed it. */
function resolve({ positional, named }: Call<Reference>, end: (reference: Reference) => string): Feeds {
  const inputs: string[] = []
  const place = (argument: Argument<Reference>): Argument<number> =>
    'input' in argument ? { input: inputs.push(end(argument.input)) - 1 } : argument
  return {
    call: {
      positional: positional.map(place),
      named: Object.fromEntries(Object.entries(named).map(([name, argument]) => [name, place(argument)]))
    },
    inputs
  }
}

function addNode(node: Omit<Nested, 'feed'>, { inputs, call }: Feeds, flattened: Flattened): string {
  const { className, config, path, name } = node
  const [feed] = inputs
  if (className === 'InputLayer') return feed ?? addInput(path, config, flattened)
  if (!isModel(node)) {
    if (call !== undefined && inputs.length === 0) throw new KerasError(`layer "${name}" (${className}) has no inputs`)
    return flattened.add({ path, className, config, inputs, ...(call === undefined ? {} : { call }) })
  }
  if (inputs.length > 1) throw new KerasError(`model "${name}" has ${inputs.length} inputs: only one is supported`)
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

export function parseNode(value: unknown): Node {
  if (!isConfig(value) || typeof value['class_name'] !== 'string')
    throw new KerasError('the model’s configuration is not one that Keras writes: a layer has no class_name')
  // Until Keras 2.2 a Sequential's config was the list of its layers.
  const config = isConfig(value['config']) ? value['config'] : { layers: value['config'] }
  const name = String(value['name'] ?? config['name'] ?? '')
  const layers = Array.isArray(config['layers']) ? config['layers'] : []
  const isOperator = String(value['module']).startsWith('keras.src.ops')
  return { className: value['class_name'], name, config, layers, inbound: value['inbound_nodes'], isOperator }
}

/** `[["name", 0, 0]]`, or without the outer list in Keras 3; a dictionary of inputs is written as one of these. */
function referencesOf({ config }: Nested, field: 'input_layers' | 'output_layers'): Reference[] {
  const value = config[field]
  return referencesIn(isConfig(value) ? Object.values(value) : value)
}

function onlyOne(model: Nested, field: 'input_layers' | 'output_layers'): Reference {
  const references = referencesOf(model, field)
  const [reference] = references
  if (reference === undefined || references.length > 1)
    throw new KerasError(
      `model "${model.name}": ${references.length} ${field}: only models with one input and one output are supported`
    )
  return reference
}

/** Where there are several, the one that was asked for. */
function outputOf(model: Nested): Reference {
  const references = referencesOf(model, 'output_layers')
  if (references.length < 2 || model.path.length > 0) return onlyOne(model, 'output_layers')
  const chosen = references.find(({ layer }) => layer === model.output)
  if (chosen !== undefined) return chosen
  const names = references.map(({ layer }) => layer).join(', ')
  throw new KerasError(
    model.output === undefined
      ? `it has ${references.length} outputs (${names}): say with --output which of them holds the scores`
      : `it has no output "${model.output}"; those that it has: ${names}`
  )
}

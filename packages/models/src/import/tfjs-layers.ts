import { endsInSigmoid, readPictureShape, type Activation, type Topology } from './inspected.ts'
import { ModelError } from '../store/manifest.ts'
import { usualOfKerasModel } from './preprocessing.ts'

interface LayerConfig {
  name?: string
  batch_input_shape?: Array<number | null>
  activation?: string | { class_name?: string }
  units?: number
  filters?: number
  target_shape?: number[]
}
interface Layer {
  class_name: string
  name?: string
  config: LayerConfig
  inbound_nodes?: unknown[]
}
interface ModelConfig {
  name?: string
  layers?: Layer[]
  output_layers?: unknown[]
}

/** A Keras model as TensorFlow.js stores it: old files wrap the model in `model_config`. */
export interface LayersTopology {
  model_config?: LayersTopology
  class_name?: string
  config?: ModelConfig | Layer[]
}

/** These leave scores as they are. */
const passOn = new Set(['Reshape', 'Flatten', 'Dropout', 'Permute'])

/** Size, layout, classes and activation of a layers model, read from its topology. */
export function readLayersTopology(topology: LayersTopology, path: string): Topology {
  const { config } = topology.model_config ?? topology
  const model: ModelConfig = Array.isArray(config) ? { layers: config } : (config ?? {})
  const layers = model.layers ?? []
  const shape = layers.map(layer => layer.config.batch_input_shape).find(shape => shape !== undefined)
  const chain = fromOutput(layers, outputName(model))
  if (shape === undefined || chain.length === 0)
    throw new ModelError(
      `${path}: its topology has no layer with "batch_input_shape" or no output layer: it is not a layers model that can be read`
    )
  const { layout, size } = readPictureShape(
    shape.map(dim => dim ?? undefined),
    path
  )
  const classes = classesOf(chain)
  const activation = activationOf(chain, path)
  return {
    layout,
    facts: {
      size: size && { value: size, from: 'its input layer' },
      classes: classes === undefined ? undefined : { value: classes, from: 'its last layer' },
      activation: activation && { value: activation, from: 'its last layer' },
      usual: usualOfKerasModel(model.name ?? '')
    }
  }
}

/** An output is `[layer, node, tensor]`; a model with one may leave out the list around it. */
function outputName({ output_layers: outputs, layers = [] }: ModelConfig): string | undefined {
  const [first] = outputs ?? []
  const name: unknown = Array.isArray(first) ? first[0] : first
  return typeof name === 'string' ? name : nameOf(layers.at(-1))
}

function nameOf(layer: Layer | undefined): string | undefined {
  return layer?.name ?? layer?.config.name
}

/** The layers from the output back to the one that computes the scores. */
function fromOutput(layers: Layer[], name: string | undefined): Layer[] {
  const index = layers.findIndex(layer => nameOf(layer) === name)
  const layer = layers[index]
  if (layer === undefined) return []
  const before = inboundOf(layer) ?? nameOf(layers[index - 1])
  const goesOn = passOn.has(layer.class_name) || isActivation(layer)
  return goesOn && before !== name ? [layer, ...fromOutput(layers, before)] : [layer]
}

function isActivation({ class_name: className }: Layer): boolean {
  return className === 'Activation' || className === 'Softmax'
}

/** The first layer that feeds this one; a layer of a sequential model doesn't say. */
function inboundOf({ inbound_nodes: nodes }: Layer): string | undefined {
  const name: unknown = [nodes].flat(4).find(value => typeof value === 'string')
  return typeof name === 'string' ? name : undefined
}

function classesOf(chain: Layer[]): number | undefined {
  const { units, filters } = chain.at(-1)?.config ?? {}
  const shape = chain.map(layer => layer.config.target_shape).find(shape => shape !== undefined)
  return units ?? filters ?? shape?.reduce((product, dim) => product * dim, 1)
}

function activationOf(chain: Layer[], path: string): Activation | undefined {
  const names = chain.map(({ class_name: className, config: { activation } }) =>
    className === 'Softmax' ? 'softmax' : activationName(activation)
  )
  const last = names.find(name => name !== undefined && name !== 'linear')
  if (last === 'sigmoid') throw endsInSigmoid(path, 'sigmoid')
  if (last === 'softmax') return 'softmax'
  return last === undefined ? 'logits' : undefined
}

function activationName(activation: LayerConfig['activation']): string | undefined {
  return typeof activation === 'object' ? activation.class_name?.toLowerCase() : activation
}

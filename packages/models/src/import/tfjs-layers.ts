import { KerasError, readTopology, type KerasLayer } from '@streamsight/keras'
import { endsInSigmoid, readPictureShape, type Activation, type Topology } from './inspected.ts'
import { ModelError } from '../store/error.ts'
import { rawPixels, usualOfKerasModel } from './preprocessing.ts'

/** These leave scores as they are. */
const passOn = new Set(['Reshape', 'Flatten', 'Dropout', 'Permute'])

/**
 * Size, layout, classes and activation of a layers model with layers that can't be converted, from its topology, however nested.
 * Throws a ModelError.
 */
export function readLayersTopology(modelTopology: unknown, path: string): Topology {
  const { layers, models } = topologyOf(modelTopology, path)
  const chain = fromOutput(layers, layers.at(-1))
  const { layout, size } = readPictureShape(dimsOf(layers[0]), path)
  const classes = classesOf(chain)
  const activation = activationOf(chain, path)
  const rescaling = layers[1]?.className === 'Rescaling' ? layers[1].name : undefined
  return {
    layout,
    facts: {
      size: size && { value: size, from: 'its input layer' },
      classes: classes === undefined ? undefined : { value: classes, from: 'its last layer' },
      activation: activation && { value: activation, from: 'its last layer' },
      ...(rescaling === undefined ? {} : rawPixels(`the model prepares pixels itself: "${rescaling}"`)),
      usual: models.map(usualOfKerasModel).find(usual => usual !== undefined)
    }
  }
}

function topologyOf(modelTopology: unknown, path: string): ReturnType<typeof readTopology> {
  const outer = modelTopology as { model_config?: unknown }
  try {
    return readTopology(outer.model_config ?? outer)
  } catch (error) {
    throw error instanceof KerasError ? new ModelError(`${path}: ${error.message}`, { cause: error }) : error
  }
}

function dimsOf(input: KerasLayer | undefined): Array<number | undefined> {
  return [input?.config['shape']].flat().map(size => (typeof size === 'number' ? size : undefined))
}

/** The layers from the output back to the one that computes the scores. */
function fromOutput(layers: readonly KerasLayer[], layer: KerasLayer | undefined): KerasLayer[] {
  if (layer === undefined) return []
  const goesOn = passOn.has(layer.className) || layer.className === 'Activation' || layer.className === 'Softmax'
  const before = layers.find(({ name }) => name === layer.inputs[0])
  return goesOn ? [layer, ...fromOutput(layers, before)] : [layer]
}

function classesOf(chain: readonly KerasLayer[]): number | undefined {
  const { units, filters } = chain.at(-1)?.config ?? {}
  const shape = chain.map(({ config }) => config['target_shape']).find(Array.isArray)
  const size = units ?? filters ?? shape?.reduce((product: number, dim: unknown) => product * Number(dim), 1)
  return typeof size === 'number' ? size : undefined
}

function activationOf(chain: readonly KerasLayer[], path: string): Activation | undefined {
  const names = chain.map(({ className, config }) =>
    className === 'Softmax' ? 'softmax' : activationName(config['activation'])
  )
  const last = names.find(name => name !== undefined && name !== 'linear')
  if (last === 'sigmoid') throw endsInSigmoid(path, 'sigmoid')
  if (last === 'softmax') return 'softmax'
  return last === undefined && computesLogits(chain.at(-1)) ? 'logits' : undefined
}

/** The scores of any other layer may be probabilities: a mean of softmaxes, say. */
function computesLogits(layer: KerasLayer | undefined): boolean {
  return ['Dense', 'Conv2D', 'GlobalAveragePooling2D'].includes(layer?.className ?? '')
}

function activationName(activation: unknown): string | undefined {
  const { class_name: className } = (typeof activation === 'object' && activation !== null ? activation : {}) as {
    class_name?: string
  }
  return className?.toLowerCase() ?? (typeof activation === 'string' ? activation : undefined)
}

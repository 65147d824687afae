import { KerasError } from './error.ts'
import { recognize } from './architectures.ts'
import { buildNetwork, type Statements } from './build.ts'
import { forFile, majorVersion } from './file.ts'
import { groupAt, listedTensors, namesAttribute, textAttribute, withH5, type Group } from './h5.ts'
import { architectureNames, type ArchitectureName, type Network } from './ir.ts'
import { describeLayer } from './options.ts'
import { readTopology, type KerasLayer } from './topology.ts'
import { byName, inOrder, weightKinds, type StoredTensor, type Weights } from './weights.ts'
import { fitLegacyWeights, fitWeights } from './weights-alone.ts'
import { containers } from './stored.ts'

export interface ReadOptions extends Statements {
  /** Which of `keras.applications` the weights are, where a file holds weights alone. */
  architecture?: string | undefined
  /** The layer that gives the scores, where a model has several outputs. */
  output?: string | undefined
}

/**
 * The network in a Keras `.h5`: a whole model of Keras 2 or 3, or the weights (`save_weights`, also `.weights.h5`) of a network
 * whose layers are known: its name in `architecture`, or recognized by what the file holds. Throws a KerasError that names the
 * file, and the layer if it is one's fault.
 */
export async function readKerasH5(path: string, options: ReadOptions = {}): Promise<Network> {
  return await withH5(path, root =>
    forFile(path, () => {
      const architecture = parseArchitecture(options.architecture)
      const config = textAttribute(root, 'model_config')
      if (config !== undefined) return readWholeModel(root, config, options)
      if (containers.some(name => groupAt(root, name) !== undefined)) return fitWeights(root, architecture)
      if (namesAttribute(root, 'layer_names') !== undefined) return fitLegacyWeights(root, architecture)
      throw new KerasError(
        'an HDF5 file, but not one of Keras: it has neither "model_config" nor "layer_names" nor a group "layers"'
      )
    })
  )
}

function parseArchitecture(name: string | undefined): ArchitectureName | undefined {
  const known = architectureNames.find(known => known === name)
  if (name === undefined || known !== undefined) return known
  throw new KerasError(
    `architecture "${name}" is not known: ${architectureNames.join(', ')} are; a whole model saved with model.save('….h5') needs none`
  )
}

function readWholeModel(root: Group, config: string, options: ReadOptions): Network {
  const group = groupAt(root, 'model_weights')
  if (group === undefined) throw new KerasError('a model without its weights: there is no group "model_weights"')
  const topology = readTopology(parseConfig(config), options)
  return buildNetwork({
    ...options,
    topology,
    weights: weightsIn(group, topology.layers),
    kerasVersion: majorVersion(textAttribute(root, 'keras_version')),
    architecture: recognize(topology.layers)
  })
}

export function parseConfig(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new KerasError(`the model's configuration is not JSON: ${(error as Error).message}`)
  }
}

/** Each layer of the outermost model has a group, with its weights in order; that of a nested model has the weights of all its layers. */
function weightsIn(models: Group, layers: readonly KerasLayer[]): Weights {
  const weighted = layers.filter(layer => weightKinds(layer).length > 0)
  const tensors = new Map([...new Set(weighted.map(outermost))].map(name => [name, tensorsOf(models, name)]))
  return new Map(
    weighted.map(layer => {
      const own = tensors.get(outermost(layer))
      if (own === undefined)
        throw new KerasError(
          `${describeLayer(layer)}: the file has no group "model_weights/${outermost(layer)}" with its weights`
        )
      return [layer.name, layer.path.length === 1 ? inOrder(layer, own) : byName(layer, own)]
    })
  )
}

function outermost({ path }: KerasLayer): string {
  return path[0] ?? ''
}

function tensorsOf(models: Group, name: string): StoredTensor[] | undefined {
  const group = groupAt(models, name)
  return group === undefined ? undefined : listedTensors(group)
}

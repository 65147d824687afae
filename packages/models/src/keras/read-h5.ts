import { ModelError } from '../manifest.ts'
import { recognize } from './architectures.ts'
import { buildNetwork } from './build.ts'
import { forFile, majorVersion } from './file.ts'
import { groupAt, listedTensors, namesAttribute, textAttribute, withH5, type Group } from './h5.ts'
import { architectureNames, type ArchitectureName, type Network } from './network.ts'
import { describeLayer } from './options.ts'
import { readTopology, type KerasLayer } from './topology.ts'
import { byName, inOrder, weightKinds, type StoredTensor } from './weights.ts'
import { fitLegacyWeights, fitWeights } from './weights-alone.ts'

/**
 * The network in a Keras `.h5`: a whole model of Keras 2 or 3, or the weights (`save_weights`, also `.weights.h5`) of a network
 * whose layers are known: its name in `architecture`, or recognized by what the file holds. Throws a ModelError that names the
 * file, and the layer if it is one's fault.
 */
export async function readKerasH5 (path: string, options: { architecture?: string } = {}): Promise<Network> {
  return await withH5(path, root => forFile(path, () => {
    const architecture = parseArchitecture(options.architecture)
    const config = textAttribute(root, 'model_config')
    if (config !== undefined) return readWholeModel(root, config)
    if (groupAt(root, 'layers') !== undefined) return fitWeights(root, architecture)
    if (namesAttribute(root, 'layer_names') !== undefined) return fitLegacyWeights(root, architecture)
    throw new ModelError('an HDF5 file, but not one of Keras: it has neither a model ("model_config") nor weights ("layer_names", "layers")')
  }))
}

function parseArchitecture (name: string | undefined): ArchitectureName | undefined {
  const known = architectureNames.find(known => known === name)
  if (name !== undefined && known === undefined) throw new ModelError(`architecture "${name}" is not known: ${architectureNames.join(', ')} are; a whole model saved with model.save('….h5') needs none`)
  return known
}

function readWholeModel (root: Group, config: string): Network {
  const group = groupAt(root, 'model_weights')
  if (group === undefined) throw new ModelError('a model without its weights: there is no group "model_weights"')
  const topology = readTopology(parseConfig(config))
  return buildNetwork({
    topology,
    weights: new Map(topology.layers.map(layer => [layer.name, weightsOf(layer, group)])),
    kerasVersion: majorVersion(textAttribute(root, 'keras_version')),
    architecture: recognize(topology.layers)
  })
}

function parseConfig (text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new ModelError(`attribute "model_config" is not JSON: ${(error as Error).message}`)
  }
}

/** The outermost model's layers have a group each, with the weights in order. In the group of a nested model are those of all its layers. */
function weightsOf (layer: KerasLayer, models: Group): readonly StoredTensor[] {
  if (weightKinds(layer).length === 0) return []
  const [outermost = ''] = layer.path
  const group = groupAt(models, outermost)
  if (group === undefined) throw new ModelError(`${describeLayer(layer)}: the file has no group "model_weights/${outermost}" with its weights`)
  const tensors = listedTensors(group)
  return layer.path.length === 1 ? inOrder(layer, tensors) : byName(layer, tensors)
}

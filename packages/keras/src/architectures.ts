import { efficientnetb0 } from './architectures/efficientnetb0.ts'
import { mobilenetv2 } from './architectures/mobilenetv2.ts'
import { newNaming, oldNaming, resnet50 } from './architectures/resnet50.ts'
import { type ArchitectureName } from './ir.ts'
import { type KerasLayer } from './topology.ts'
import { weightKinds } from './weights.ts'

/** One way in which a well-known network is built; the first that fits is taken. */
export interface Architecture {
  name: ArchitectureName
  layers: readonly KerasLayer[]
}

/** In the order in which a file is compared with them. */
export function architectures(): Architecture[] {
  return [
    { name: 'resnet50', layers: resnet50(newNaming) },
    { name: 'resnet50', layers: resnet50(oldNaming) },
    { name: 'mobilenetv2', layers: mobilenetv2() },
    { name: 'efficientnetb0', layers: efficientnetb0({ dividesTwice: false }) },
    { name: 'efficientnetb0', layers: efficientnetb0({ dividesTwice: true }) }
  ]
}

/**
 * The well-known network that a whole model is: the same names of layers with weights, and as many layers of each other kind.
 * A model around it, or one with preprocessing of its own, is none.
 */
export function recognize(layers: readonly KerasLayer[]): ArchitectureName | undefined {
  const wanted = fingerprint(layers)
  return architectures().find(({ layers }) => fingerprint(layers) === wanted)?.name
}

function fingerprint(layers: readonly KerasLayer[]): string {
  return layers
    .filter(({ className }) => className !== 'Dropout')
    .map(layer => (weightKinds(layer).length > 0 ? storedName(layer) : layer.className))
    .sort()
    .join(' ')
}

/** The name by which a layer's weights are kept. Keras numbers the layers that have no name of their own. */
export function storedName({ path, className }: Pick<KerasLayer, 'path' | 'className'>): string {
  return className === 'Normalization' ? 'normalization' : path.join('/')
}

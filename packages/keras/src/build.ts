import { KerasError } from './error.ts'
import { foldAffine } from './fold.ts'
import { activation, elu, leakyRelu, relu, softmax, thresholdedRelu } from './layers/activation.ts'
import { createBuild, type Build, type Builder } from './layers/builder.ts'
import { conv2d, dense, depthwiseConv2d, separableConv2d } from './layers/convolution.ts'
import { concatenate, elementwiseMerge } from './layers/merge.ts'
import { batchNormalization, normalization, rescaling } from './layers/normalization.ts'
import { operator } from './layers/operator.ts'
import { globalPooling2d, pooling2d, zeroPadding2d } from './layers/pooling.ts'
import { flatten, passThrough, reshape } from './layers/shape.ts'
import { describeShape, sizeOf, type ArchitectureName, type Layer, type Network } from './ir.ts'
import { describeLayer } from './options.ts'
import { type Topology } from './topology.ts'
import { type Weights } from './weights.ts'

const builders: ReadonlyMap<string, Builder> = new Map<string, Builder>([
  ['InputLayer', inputLayer],
  ['Conv2D', conv2d],
  ['DepthwiseConv2D', depthwiseConv2d],
  ['SeparableConv2D', separableConv2d],
  ['Dense', dense],
  ['BatchNormalization', batchNormalization],
  ['Normalization', normalization],
  ['Rescaling', rescaling],
  ['Activation', activation],
  ['ReLU', relu],
  ['LeakyReLU', leakyRelu],
  ['ThresholdedReLU', thresholdedRelu],
  ['ELU', elu],
  ['Softmax', softmax],
  ['ZeroPadding2D', zeroPadding2d],
  ['MaxPooling2D', pooling2d('max')],
  ['AveragePooling2D', pooling2d('average')],
  ['GlobalAveragePooling2D', globalPooling2d('average')],
  ['GlobalMaxPooling2D', globalPooling2d('max')],
  ['Add', elementwiseMerge('add')],
  ['Multiply', elementwiseMerge('multiply')],
  ['TFOpLambda', operator],
  ['TrueDivide', operator],
  ['Divide', operator],
  ['Subtract', operator],
  ['Concatenate', concatenate],
  ['Reshape', reshape],
  ['Flatten', flatten],
  ...[
    'Dropout',
    'SpatialDropout2D',
    'GaussianDropout',
    'GaussianNoise',
    'AlphaDropout',
    'ActivityRegularization',
    'RandomFlip',
    'RandomRotation',
    'RandomZoom',
    'RandomTranslation',
    'RandomContrast',
    'RandomBrightness'
  ].map((name): [string, Builder] => [name, passThrough])
])

interface Source {
  topology: Topology
  weights: Weights
  kerasVersion: number
  architecture?: ArchitectureName | undefined
}

/** Translates Keras' layers, with normalization folded into the convolution or dense layer before it. Throws a KerasError. */
export function buildNetwork({ topology, weights, kerasVersion, architecture }: Source): Network {
  const ends = new Map<string, Layer>()
  const layers: Layer[] = []
  for (const layer of topology.layers) {
    const builder = builders.get(layer.className)
    if (builder === undefined)
      throw new KerasError(
        `${describeLayer(layer)}: this class of layer is not supported; those that are: ${[...builders.keys()].join(', ')}`
      )
    const inputs = layer.inputs.flatMap(name => ends.get(name) ?? [])
    ends.set(layer.name, builder(createBuild({ layer, inputs, weights, kerasVersion, layers })))
  }
  const [height = 0, width = 0] = layers[0]?.shape ?? []
  const folded = foldAffine(layers)
  return {
    name: topology.name,
    input: { width, height },
    ...outputOf(folded),
    ...(architecture === undefined ? {} : { architecture }),
    layers: folded
  }
}

/** Images of a fixed size with three channels are all that Streamsight gives a model. */
function inputLayer({ options, add }: Build): Layer {
  const shape = [options.get('shape')].flat().slice(1)
  const isImage = shape.length === 3 && shape.every(size => Number.isSafeInteger(size)) && shape[2] === 3
  if (!isImage) options.refuse('shape', 'a batch of images of a fixed size, [null, height, width, 3], is expected')
  return add({ operation: { kind: 'input' }, inputs: [], shape: shape as number[] })
}

function outputOf(layers: readonly Layer[]): Pick<Network, 'classes' | 'activation'> {
  const last = layers.at(-1)
  if (last === undefined) throw new KerasError('the model has no layers')
  const [classes = 0] = last.shape
  if (last.shape.length !== 1)
    throw new KerasError(
      `layer "${last.name}", the last, gives ${describeShape(last.shape)}: one score for each class is expected`
    )
  const scoring = scoringLayer(layers, last)
  if (scoring.kind === 'elementwise' && scoring.function === 'sigmoid') {
    const units = classes === 1 ? '1 unit' : `${classes} units`
    throw new KerasError(
      `layer "${scoring.name}": the model ends in a sigmoid of ${units}, which answers a yes-or-no question for each; softmax over 2 or more classes is needed`
    )
  }
  if (classes < 2) throw new KerasError(`layer "${last.name}", the last, gives 1 score: 2 or more classes are needed`)
  if (scoring.kind === 'softmax') return { classes, activation: 'softmax' }
  if (linearKinds.has(scoring.kind)) return { classes, activation: 'logits' }
  throw new KerasError(
    `layer "${scoring.name}": the model ends in ${scoring.kind}; softmax, or a layer without an activation, is expected`
  )
}

const linearKinds: ReadonlySet<Layer['kind']> = new Set<Layer['kind']>([
  'conv',
  'dense',
  'affine',
  'add',
  'globalPool',
  'pool'
])

/** The last layer that computes something: a softmax of 1 × 1 × classes can have a reshape after it. */
function scoringLayer(layers: readonly Layer[], last: Layer): Layer {
  const before = layers.find(({ name }) => name === last.inputs[0])
  const isSame = last.kind === 'reshape' && before !== undefined && before.shape.at(-1) === sizeOf(last.shape)
  return isSame ? scoringLayer(layers, before) : last
}

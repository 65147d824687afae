import { KerasError } from './error.ts'
import { activation, elu, leakyRelu, prelu, relu, softmax, thresholdedRelu } from './layers/activation.ts'
import { type Build, type Builder } from './layers/builder.ts'
import { conv2d, dense, depthwiseConv2d, separableConv2d } from './layers/convolution.ts'
import { average, concatenate, elementwiseMerge, subtract } from './layers/merge.ts'
import { batchNormalization, layerNormalization, normalization, rescaling } from './layers/normalization.ts'
import { operator, operatorClasses } from './layers/operator.ts'
import { centerCrop, cropping2d, globalPooling2d, pooling2d, zeroPadding2d } from './layers/pooling.ts'
import { resizing, upSampling2d } from './layers/resize.ts'
import { flatten, passThrough, reshape } from './layers/shape.ts'
import { type Layer } from './ir.ts'
import { describeLayer } from './options.ts'
import { type KerasLayer } from './topology.ts'

/** The classes of layers that are known, but for those that do nothing at inference. */
const builders: ReadonlyMap<string, Builder> = new Map<string, Builder>([
  ['InputLayer', inputLayer],
  ['Conv2D', conv2d],
  ['DepthwiseConv2D', depthwiseConv2d],
  ['SeparableConv2D', separableConv2d],
  ['Dense', dense],
  ['BatchNormalization', batchNormalization],
  ['LayerNormalization', layerNormalization],
  ['Normalization', normalization],
  ['Rescaling', rescaling],
  ['Activation', activation],
  ['ReLU', relu],
  ['LeakyReLU', leakyRelu],
  ['ThresholdedReLU', thresholdedRelu],
  ['ELU', elu],
  ['PReLU', prelu],
  ['Softmax', softmax],
  ['ZeroPadding2D', zeroPadding2d],
  ['MaxPooling2D', pooling2d('max')],
  ['AveragePooling2D', pooling2d('average')],
  ['GlobalAveragePooling2D', globalPooling2d('average')],
  ['GlobalMaxPooling2D', globalPooling2d('max')],
  ['Add', orOperator(elementwiseMerge('add'))],
  ['Subtract', orOperator(subtract)],
  ['Multiply', orOperator(elementwiseMerge('multiply'))],
  ['Maximum', elementwiseMerge('maximum')],
  ['Minimum', elementwiseMerge('minimum')],
  ['Average', average],
  ['Concatenate', concatenate],
  ['Resizing', resizing],
  ['CenterCrop', centerCrop],
  ['Cropping2D', cropping2d],
  ['UpSampling2D', upSampling2d],
  ['Reshape', reshape],
  ['Flatten', flatten],
  ['Lambda', lambda]
])

/** These work in training alone: dropout, noise and augmentation; RandomCrop alone crops at inference too. */
const trainingOnlyNames = [
  'Dropout',
  'SpatialDropout2D',
  'GaussianDropout',
  'GaussianNoise',
  'AlphaDropout',
  'ActivityRegularization',
  'StochasticDepth',
  'MixUp',
  'CutMix',
  'AugMix',
  'RandAugment',
  'Random(?!Crop)\\w+'
]
const trainingOnly = new RegExp(`^(${trainingOnlyNames.join('|')})$`)

export function builderOf(layer: KerasLayer): Builder {
  const { className } = layer
  const isOperator = /^(TF|Slicing)OpLambda$/.test(className) || operatorClasses.includes(className)
  const builder = trainingOnly.test(className)
    ? passThrough
    : (builders.get(className) ?? (isOperator ? operator : undefined))
  if (builder !== undefined) return builder
  const known = [...builders.keys()].filter(name => name !== 'Lambda')
  throw new KerasError(
    `${describeLayer(layer)}: this class of layer is not supported; ` +
      `those that are: ${known.join(', ')}, and all of dropout and augmentation`
  )
}

/** Whether a layer prepares pixels wherever it stands at the front of a model. */
export function preparesPixels(layer: KerasLayer): boolean {
  return (
    /^(Rescaling|Normalization|Resizing|TFOpLambda|SlicingOpLambda)$/.test(layer.className) ||
    (operatorClasses.includes(layer.className) && (!mergeClasses.has(layer.className) || hasConstant(layer)))
  )
}

/** Keras 3 has operators that are called as layers are: the `+` of `x + 1` is an Add, as the layer is. */
const mergeClasses = new Set(['Add', 'Subtract', 'Multiply'])

function orOperator(builder: Builder): Builder {
  return build => (hasConstant(build.layer) ? operator(build) : builder(build))
}

function hasConstant({ call }: KerasLayer): boolean {
  const { positional = [], named = {} } = call ?? {}
  return [...positional, named['x1'], named['x2']].some(argument => argument !== undefined && 'value' in argument)
}

function lambda({ layer }: Build): never {
  throw new KerasError(
    `${describeLayer(layer)}: it is Python code, which is not run here: build the model with layers in its place ` +
      '(Rescaling, Normalization, Resizing …) and load the weights into that, or export the model as ONNX with tf2onnx'
  )
}

/** Images of a known size with three channels are all that Streamsight gives a model. */
function inputLayer({ options, add, size }: Build): Layer {
  const [height, width, channels] = [options.get('shape')].flat().slice(1)
  const shape = [height ?? size?.height, width ?? size?.width, channels]
  const isImage = shape.every(size => Number.isSafeInteger(size)) && shape[2] === 3
  const isOpen = channels === 3 && (height === null || width === null)
  if (!isImage)
    options.refuse(
      'shape',
      isOpen
        ? 'it takes pictures of any size: give the one it was trained with, e.g. --size 224x224'
        : 'a batch of images, [null, height, width, 3], is expected'
    )
  return add({ operation: { kind: 'input' }, inputs: [], shape: shape as number[] })
}

import { type Topology } from './topology.ts'

/** The layers of TensorFlow.js that do there what they do in Keras; its Resizing and its dilated DepthwiseConv2D don't. */
const layers = new Set(
  `InputLayer Conv2D DepthwiseConv2D SeparableConv2D Dense BatchNormalization LayerNormalization Rescaling Activation
  ReLU LeakyReLU ThresholdedReLU ELU PReLU Softmax ZeroPadding2D Cropping2D UpSampling2D MaxPooling2D AveragePooling2D
  GlobalAveragePooling2D GlobalMaxPooling2D Add Multiply Average Maximum Minimum Concatenate Reshape Flatten Permute
  Dropout SpatialDropout2D GaussianDropout GaussianNoise AlphaDropout`.split(/\s+/)
)

/** What only Keras 3 writes, and TensorFlow.js can't read. */
const keras3Marks = ['"batch_shape"', '"__keras_tensor__"', '"DTypePolicy"', '"keepdims":true']

/** Whether TensorFlow.js can run the files as they are; else its artifact has to be written anew. */
export function runsInTfjs(modelTopology: unknown, topology: Topology): boolean {
  const text = JSON.stringify(modelTopology)
  return (
    !keras3Marks.some(mark => text.includes(mark)) &&
    topology.layers.every(
      ({ className, config }) =>
        layers.has(className) &&
        (className !== 'DepthwiseConv2D' || String(config['dilation_rate'] ?? 1).replace(',1', '') === '1') &&
        (className !== 'Conv2D' || (config['groups'] ?? 1) === 1)
    )
  )
}

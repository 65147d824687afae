import { File, ready, type Group } from 'h5wasm/node'

const rescaling = {
  class_name: 'Rescaling',
  name: 'rescaling',
  config: { name: 'rescaling', scale: 1 / 127.5, offset: -1 },
  inbound_nodes: [[['picture', 0, 0, {}]]]
}

/** What the layer before the mean is called tells what that takes. */
const layersAfter = (before: string) => [
  {
    class_name: 'InputLayer',
    name: 'picture',
    config: { name: 'picture', batch_input_shape: [null, 8, 8, 3], dtype: 'float32' },
    inbound_nodes: []
  },
  {
    class_name: 'GlobalAveragePooling2D',
    name: 'pooled',
    config: { name: 'pooled', data_format: 'channels_last' },
    inbound_nodes: [[[before, 0, 0, {}]]]
  },
  {
    class_name: 'Dense',
    name: 'scores',
    config: { name: 'scores', units: 5, activation: 'softmax', use_bias: true },
    inbound_nodes: [[['pooled', 0, 0, {}]]]
  }
]

/**
 * Writes a whole model as Keras 2 saves it: the mean over a picture, and a dense layer with softmax over 5 classes; `rescaled`
 * puts a layer before it that scales pixels.
 */
export async function writeKerasFile(
  path: string,
  { name: modelName = 'small', rescaled = false } = {}
): Promise<void> {
  await ready
  const [input, ...others] = layersAfter(rescaled ? 'rescaling' : 'picture')
  const layers = [input, ...(rescaled ? [rescaling] : []), ...others].filter(layer => layer !== undefined)
  const file = new File(path, 'w')
  file.create_attribute('keras_version', '2.15.0')
  file.create_attribute(
    'model_config',
    JSON.stringify({
      class_name: 'Functional',
      config: { name: modelName, layers, input_layers: [['picture', 0, 0]], output_layers: [['scores', 0, 0]] }
    })
  )
  const weights = file.create_group('model_weights')
  weights.create_attribute(
    'layer_names',
    layers.map(({ name }) => name)
  )
  for (const { name } of layers)
    weights
      .create_group(name)
      .create_attribute('weight_names', name === 'scores' ? ['scores/kernel:0', 'scores/bias:0'] : [])
  const dense = (weights.get('scores') as Group).create_group('scores')
  dense.create_dataset({
    name: 'kernel:0',
    data: Float32Array.from({ length: 15 }, (_, index) => index / 10),
    shape: [3, 5]
  })
  dense.create_dataset({ name: 'bias:0', data: new Float32Array(5), shape: [5] })
  file.close()
}

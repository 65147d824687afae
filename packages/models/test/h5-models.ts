import { File, ready, type Group } from 'h5wasm/node'

const layers = [
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
    inbound_nodes: [[['picture', 0, 0, {}]]]
  },
  {
    class_name: 'Dense',
    name: 'scores',
    config: { name: 'scores', units: 5, activation: 'softmax', use_bias: true },
    inbound_nodes: [[['pooled', 0, 0, {}]]]
  }
]

/** Writes a whole model as Keras 2 saves it: the mean over a picture, and a dense layer with softmax over 5 classes. */
export async function writeKerasFile(path: string): Promise<void> {
  await ready
  const file = new File(path, 'w')
  file.create_attribute('keras_version', '2.15.0')
  file.create_attribute(
    'model_config',
    JSON.stringify({
      class_name: 'Functional',
      config: { name: 'small', layers, input_layers: [['picture', 0, 0]], output_layers: [['scores', 0, 0]] }
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

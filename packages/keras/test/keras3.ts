type Json = Record<string, unknown>

/** The configuration of a model as Keras 3 writes what Keras 2 wrote so. */
export function asKeras3(model: { class_name: string; config: Json }): Json {
  const isModel = Array.isArray(model.config['layers'])
  const config = isModel ? modelConfig(model.config) : layerConfig(model.config)
  const { class_name: className, ...node } = model as Json
  const modelClass = className === 'Model' ? 'Functional' : className
  const inbound = node['inbound_nodes']
  return {
    ...node,
    module: isModel ? 'keras.src.models' : 'keras.layers',
    class_name: modelClass,
    config,
    registered_name: modelClass,
    build_config: { input_shape: [null, 9, 10, 3] },
    ...(Array.isArray(inbound) ? { inbound_nodes: inbound.map(keras3Node) } : {})
  }
}

function modelConfig(config: Json): Json {
  const layers = config['layers'] as Array<{ class_name: string; config: Json }>
  const [inputs, outputs] = [config['input_layers'], config['output_layers']] as unknown[][]
  return {
    ...config,
    trainable: true,
    dtype: { module: 'keras', class_name: 'DTypePolicy', config: { name: 'float32' } },
    layers: layers.map(asKeras3),
    ...(inputs === undefined ? {} : { input_layers: inputs[0], output_layers: outputs?.[0] })
  }
}

function layerConfig({ batch_input_shape: shape, ...config }: Json): Json {
  return {
    ...config,
    dtype: { module: 'keras', class_name: 'DTypePolicy', config: { name: 'float32' }, registered_name: null },
    ...(shape === undefined ? {} : { batch_shape: shape })
  }
}

/** Several inputs are one argument that is a list. */
function keras3Node(node: unknown): Json {
  const tensors = (node as unknown[][]).map(([name, index, tensor]) => ({
    class_name: '__keras_tensor__',
    config: { shape: [null, 9, 10, 3], dtype: 'float32', keras_history: [name, index, tensor] }
  }))
  return { args: tensors.length === 1 ? tensors : [tensors], kwargs: { training: false, mask: null } }
}

import * as tf from '@tensorflow/tfjs-core'
import '@tensorflow/tfjs-backend-cpu'
import type { Artifact } from '@streamsight/models'
import { fromFloat16, toFloat16 } from '../../src/engines/float16.ts'
import { createRandom } from './resnet50.ts'

/** A small classifier: a convolution of 3 × 3, ReLU, the mean of each channel, a dense layer, softmax. */
export const side = 8
export const classes = 5
const filters = 4

export type Quantization = 'none' | 'uint8' | 'uint16' | 'float16'

interface Weight {
  name: string
  shape: number[]
  values: Float32Array<ArrayBuffer>
}

export interface Files {
  files: Record<string, Uint8Array>
  weights: Weight[]
}

export interface FilesOptions {
  quantization?: Quantization
  /** No shard is larger: a weight may begin in one and end in the next. */
  shardBytes?: number
}

/** What a quantizer makes of one weight: its bytes, what the manifest says of them, and the values that they stand for. */
function quantize({ name, shape, values }: Weight, quantization: Quantization) {
  if (quantization === 'none') return { bytes: bytesOf(values), entry: { name, shape, dtype: 'float32' }, values }
  if (quantization === 'float16') {
    const halves = toFloat16(values)
    return {
      bytes: bytesOf(halves),
      entry: { name, shape, dtype: 'float32', quantization: { dtype: 'float16', original_dtype: 'float32' } },
      values: fromFloat16(halves)
    }
  }
  const least = Math.min(...values)
  const scale = (Math.max(...values) - least) / (quantization === 'uint8' ? 255 : 65_535) || 1
  const rounded = values.map(value => Math.round((value - least) / scale))
  const steps = quantization === 'uint8' ? Uint8Array.from(rounded) : Uint16Array.from(rounded)
  return {
    bytes: bytesOf(steps),
    entry: { name, shape, dtype: 'float32', quantization: { dtype: quantization, scale, min: least } },
    values: Float32Array.from(steps, step => step * scale + least)
  }
}

function bytesOf(values: ArrayBufferView<ArrayBuffer>): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
}

/** model.json and its shards, and the weights as the model sees them. */
function write(
  model: object,
  { quantization = 'none', shardBytes = 1e6 }: FilesOptions,
  constants: Array<{ entry: object; bytes: Uint8Array }> = []
): Files {
  const random = createRandom(5)
  const parts = [
    { name: 'conv/kernel', shape: [3, 3, 3, filters] },
    { name: 'conv/bias', shape: [filters] },
    { name: 'dense/kernel', shape: [filters, classes] },
    { name: 'dense/bias', shape: [classes] }
  ].map(({ name, shape }) => ({ name, shape, values: new Float32Array(shape.reduce((a, b) => a * b)).map(random) }))
  const stored = parts.map(part => quantize(part, quantization))
  const all = Buffer.concat([...stored, ...constants].map(({ bytes }) => bytes))
  const shards = Array.from({ length: Math.ceil(all.length / shardBytes) }, (_, i) =>
    all.subarray(i * shardBytes, (i + 1) * shardBytes)
  )
  const paths = shards.map((_, i) => `group1-shard${i + 1}of${shards.length}.bin`)
  const json = { ...model, weightsManifest: [{ paths, weights: [...stored, ...constants].map(({ entry }) => entry) }] }
  return {
    files: {
      'model.json': Buffer.from(JSON.stringify(json)),
      ...Object.fromEntries(shards.map((shard, i) => [paths[i] ?? '', shard]))
    },
    weights: parts.map((part, i) => ({ ...part, values: stored[i]?.values ?? part.values }))
  }
}

/** The classifier as a Keras model. */
export function layersModel({
  layout = 'NHWC',
  batch = null,
  ...options
}: FilesOptions & { layout?: Artifact['layout']; batch?: number | null } = {}): Files {
  const data_format = layout === 'NHWC' ? 'channels_last' : 'channels_first'
  const batch_input_shape = layout === 'NHWC' ? [batch, side, side, 3] : [batch, 3, side, side]
  const layers = [
    {
      class_name: 'Conv2D',
      config: {
        name: 'conv',
        filters,
        kernel_size: [3, 3],
        padding: 'same',
        activation: 'relu',
        data_format,
        batch_input_shape,
        dtype: 'float32'
      }
    },
    { class_name: 'GlobalAveragePooling2D', config: { name: 'pool', data_format } },
    { class_name: 'Dense', config: { name: 'dense', units: classes, activation: 'softmax' } }
  ]
  return write(
    {
      format: 'layers-model',
      modelTopology: {
        class_name: 'Sequential',
        config: { name: 'small', layers },
        keras_version: '2.4.0',
        backend: 'tensorflow'
      }
    },
    options
  )
}

export interface GraphOptions extends FilesOptions {
  signature?: boolean
  input?: 'DT_FLOAT' | 'DT_INT32' | 'DT_STRING'
  /** Old Keras exports decide between training and inference inside the graph. */
  controlFlow?: boolean
  twoOutputs?: boolean
  /** Ends in a reshape to one image's scores, which larger batches don't fit. */
  forOne?: boolean
}

/** The classifier as a TensorFlow graph. */
export function graphModel({
  signature = false,
  input = 'DT_FLOAT',
  controlFlow = false,
  twoOutputs = false,
  forOne = false,
  ...options
}: GraphOptions = {}): Files {
  const constants = [
    { name: 'axes', dtype: 'int32', shape: [2], bytes: bytesOf(Int32Array.of(1, 2)) },
    { name: 'learning', dtype: 'bool', shape: [], bytes: Uint8Array.of(0) },
    { name: 'one', dtype: 'int32', shape: [2], bytes: bytesOf(Int32Array.of(1, classes)) }
  ]
  const shape = { dim: [-1, side, side, 3].map(size => ({ size: String(size) })) }
  const node = [
    { name: 'images', op: 'Placeholder', attr: { dtype: { type: input }, shape: { shape } } },
    ...['conv/kernel', 'conv/bias', 'dense/kernel', 'dense/bias'].map(name => ({
      name,
      op: 'Const',
      attr: { dtype: { type: 'DT_FLOAT' } }
    })),
    { name: 'axes', op: 'Const', attr: { dtype: { type: 'DT_INT32' } } },
    { name: 'floats', op: 'Cast', input: ['images'], attr: { SrcT: { type: input }, DstT: { type: 'DT_FLOAT' } } },
    {
      name: 'conv',
      op: 'Conv2D',
      input: ['floats', 'conv/kernel'],
      attr: { strides: ints(1, 1, 1, 1), padding: text('SAME'), data_format: text('NHWC'), dilations: ints(1, 1, 1, 1) }
    },
    { name: 'biased', op: 'BiasAdd', input: ['conv', 'conv/bias'], attr: { data_format: text('NHWC') } },
    { name: 'relu', op: 'Relu', input: ['biased'] },
    ...(controlFlow ? branches('relu') : []),
    { name: 'pool', op: 'Mean', input: [controlFlow ? 'merged' : 'relu', 'axes'], attr: { keep_dims: { b: false } } },
    {
      name: 'dense',
      op: 'MatMul',
      input: ['pool', 'dense/kernel'],
      attr: { transpose_a: { b: false }, transpose_b: { b: false } }
    },
    { name: 'logits', op: 'BiasAdd', input: ['dense', 'dense/bias'], attr: { data_format: text('NHWC') } },
    ...(forOne
      ? [
          { name: 'one', op: 'Const', attr: { dtype: { type: 'DT_INT32' } } },
          { name: 'reshaped', op: 'Reshape', input: ['logits', 'one'] }
        ]
      : []),
    { name: 'probabilities', op: 'Softmax', input: [forOne ? 'reshaped' : 'logits'] },
    ...(twoOutputs ? [{ name: 'classes', op: 'Identity', input: ['logits'] }] : [])
  ]
  const ends = {
    inputs: { images: { name: 'images:0', dtype: input, tensorShape: shape } },
    outputs: { scores: { name: 'probabilities:0', dtype: 'DT_FLOAT' } }
  }
  return write(
    {
      format: 'graph-model',
      modelTopology: { node, versions: { producer: 1 }, library: {} },
      ...(signature ? { signature: ends } : {})
    },
    options,
    constants.map(({ bytes, ...entry }) => ({ bytes, entry }))
  )
}

function branches(from: string): Array<{ name: string; op: string; input?: string[]; attr?: object }> {
  return [
    { name: 'learning', op: 'Const', attr: { dtype: { type: 'DT_BOOL' } } },
    { name: 'switch', op: 'Switch', input: [from, 'learning'] },
    { name: 'inference', op: 'Identity', input: ['switch'] },
    { name: 'training', op: 'Neg', input: ['switch:1'] },
    { name: 'merged', op: 'Merge', input: ['inference', 'training'] }
  ]
}

function ints(...values: number[]) {
  return { list: { i: values.map(String) } }
}

/** As bytes in base64, the form in which the converter writes strings. */
function text(value: string) {
  return { s: Buffer.from(value).toString('base64') }
}

/** What the classifier says to images in NHWC, computed on tfjs-core's own CPU backend. */
export async function classify(images: Float32Array, weights: Weight[]): Promise<Float32Array> {
  await tf.setBackend('cpu')
  return tf.tidy(() => {
    const [kernel, bias, dense, denseBias] = weights.map(({ values, shape }) =>
      tf.tensor(values, shape as [number])
    ) as tf.Tensor[] as [tf.Tensor4D, tf.Tensor1D, tf.Tensor2D, tf.Tensor1D]
    const batch = tf.tensor4d(images, [images.length / (3 * side * side), side, side, 3])
    const features = tf.relu(tf.add(tf.conv2d(batch, kernel, 1, 'same'), bias))
    return tf.softmax(tf.add(tf.matMul(tf.mean<tf.Tensor2D>(features, [1, 2]), dense), denseBias)).dataSync<'float32'>()
  })
}

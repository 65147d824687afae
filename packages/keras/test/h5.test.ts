import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, test, type TestContext } from 'node:test'
import * as tf from '@tensorflow/tfjs-layers'
import { readKerasH5 } from '../src/read-h5.ts'
import { createTensor, fillLayers, temporaryFolder, tensorsByLayer, writeH5, type H5Tensor } from './files.ts'
import { createRandom, randomImages, randomize, randomWeights } from './random.ts'
import { largestDifference, predict, runOnnx, runTfjs, useWasm, type Images } from './run.ts'
import { asKeras3 } from './keras3.ts'

const size = { height: 9, width: 10 }
const images = randomImages({ count: 2, ...size, seed: 3 })

before(useWasm)

interface ModelFile {
  config: object
  layers: Map<string, H5Tensor[]>
  version?: string
}

/** A whole model as Keras' `model.save('….h5')` writes it. */
async function saveModel(folder: string, { config, layers, version = '2.15.0' }: ModelFile): Promise<string> {
  return await writeH5(join(folder, 'model.h5'), root => {
    root.create_attribute('model_config', JSON.stringify(config))
    root.create_attribute('keras_version', version)
    fillLayers(root.create_group('model_weights'), layers)
  })
}

/** Two branches, a nested model and every way to write a shape. */
function twoBranches(): tf.LayersModel {
  const { layers } = tf
  const inner = tf.sequential({
    name: 'inner',
    layers: [
      layers.conv2d({
        filters: 4,
        kernelSize: 3,
        padding: 'same',
        inputShape: [size.height, size.width, 3],
        name: 'conv'
      }),
      layers.batchNormalization({ name: 'bn' })
    ]
  })
  const x = tf.input({ shape: [size.height, size.width, 3], name: 'image' })
  const left = inner.apply(x) as tf.SymbolicTensor
  const right = layers
    .conv2d({ filters: 4, kernelSize: 1, activation: 'relu', name: 'right' })
    .apply(x) as tf.SymbolicTensor
  const sum = layers.add({ name: 'sum' }).apply([left, right])
  const pooled = layers.globalAveragePooling2d({ name: 'pool' }).apply(sum)
  return tf.model({
    inputs: x,
    outputs: layers.dense({ units: 4, activation: 'softmax', name: 'scores' }).apply(pooled) as tf.SymbolicTensor
  })
}

function configOf(model: tf.LayersModel): { class_name: string; config: Record<string, unknown> } {
  return JSON.parse(model.toJSON() as string)
}

async function assertScores(path: string, expected: Float32Array): Promise<void> {
  const network = await readKerasH5(path)
  for (const run of [runTfjs, runOnnx]) {
    const difference = largestDifference(await run(network, images), expected)
    assert.ok(difference <= 1e-4, `${run.name}: off by ${difference}`)
  }
}

test('a whole model of Keras 2', async t => {
  const model = twoBranches()
  randomize(model, 1)
  const path = await saveModel(temporaryFolder(t), { config: configOf(model), layers: await tensorsByLayer(model) })
  await assertScores(path, await predict(model, images))
})

test('a whole model of Keras 3', async t => {
  const model = twoBranches()
  randomize(model, 2)
  const layers = new Map(
    [...(await tensorsByLayer(model))].map(([layer, tensors]) => [
      layer,
      tensors.map(tensor => ({ ...tensor, name: tensor.name.replace(':0', '') }))
    ])
  )
  const path = await saveModel(temporaryFolder(t), { config: asKeras3(configOf(model)), layers, version: '3.8.0' })
  await assertScores(path, await predict(model, images))
})

test('layer names so long that Keras splits the list', async t => {
  const model = twoBranches()
  randomize(model, 1)
  const layers = await tensorsByLayer(model)
  const path = await writeH5(join(temporaryFolder(t), 'model.h5'), root => {
    root.create_attribute('model_config', JSON.stringify(configOf(model)))
    const group = root.create_group('model_weights')
    fillLayers(group, layers)
    for (const [layer, tensors] of layers) {
      if (tensors.length < 2) continue
      const names = tensors.map(({ name }) => name)
      const own = group.get(layer)
      if (own === null || !('delete_attribute' in own)) throw new Error(`no group ${layer}`)
      own.delete_attribute('weight_names')
      own.create_attribute('weight_names0', names.slice(0, 1))
      own.create_attribute('weight_names1', names.slice(1))
    }
  })
  await assertScores(path, await predict(model, images))
})

/** One layer between an image and a dense layer of an identity matrix: the scores are what the layer gives, in Keras' order. */
async function answerOf(
  t: TestContext,
  { layer, images, values, tensors = [], version = '2.15.0' }: Probe
): Promise<Float32Array> {
  const input = {
    class_name: 'InputLayer',
    config: { name: 'image', batch_input_shape: [null, images.height, images.width, 3] }
  }
  const config = {
    class_name: 'Sequential',
    config: {
      name: 'probe',
      layers: [
        input,
        { ...layer, config: { name: 'probed', ...layer.config } },
        { class_name: 'Flatten', config: { name: 'flatten' } },
        { class_name: 'Dense', config: { name: 'scores', units: values, use_bias: false } }
      ]
    }
  }
  const identity = Float32Array.from({ length: values * values }, (_, i) => (i % (values + 1) === 0 ? 1 : 0))
  const layers = new Map([
    ['probed', tensors],
    ['scores', [{ name: 'scores/kernel:0', shape: [values, values], data: identity }]]
  ])
  const network = await readKerasH5(await saveModel(temporaryFolder(t), { config, layers, version }))
  const onnx = await runOnnx(network, images)
  const difference = largestDifference(await runTfjs(network, images), onnx)
  assert.ok(difference <= 1e-4, `TensorFlow.js and ONNX differ by ${difference}`)
  return onnx
}
interface Probe {
  layer: { class_name: string; config?: object }
  images: Images
  values: number
  tensors?: H5Tensor[]
  version?: string
}

const small = randomImages({ count: 3, height: 2, width: 3, seed: 4 })
const steep: Images = { ...small, data: small.data.map(value => value * 6) }

const clip = (x: number, low: number, high: number) => Math.min(Math.max(x, low), high)
const formulas: Array<
  [name: string, layer: Probe['layer'], formula: (x: number, channel: number) => number, version?: string]
> = [
  ['ReLU', { class_name: 'ReLU', config: { max_value: null, negative_slope: 0, threshold: 0 } }, x => Math.max(x, 0)],
  [
    'ReLU with a maximum and a slope',
    { class_name: 'ReLU', config: { max_value: 1.5, negative_slope: 0.25 } },
    x => (x >= 1.5 ? 1.5 : x >= 0 ? x : 0.25 * x)
  ],
  ['ReLU with a threshold', { class_name: 'ReLU', config: { threshold: 1 } }, x => (x >= 1 ? x : 0)],
  ['ReLU with a threshold below 0', { class_name: 'ReLU', config: { threshold: -1 } }, x => (x >= -1 ? x : 0)],
  [
    'ReLU with all three',
    { class_name: 'ReLU', config: { max_value: 3, negative_slope: 0.1, threshold: 1 } },
    x => (x >= 3 ? 3 : x >= 1 ? x : 0.1 * (x - 1))
  ],
  ['LeakyReLU of Keras 2', { class_name: 'LeakyReLU', config: { alpha: 0.2 } }, x => (x > 0 ? x : 0.2 * x)],
  ['LeakyReLU of Keras 3', { class_name: 'LeakyReLU', config: { negative_slope: 0.4 } }, x => (x > 0 ? x : 0.4 * x)],
  ['ELU with an alpha', { class_name: 'ELU', config: { alpha: 0.5 } }, x => (x > 0 ? x : 0.5 * Math.expm1(x))],
  [
    'hard sigmoid of Keras 2',
    { class_name: 'Activation', config: { activation: 'hard_sigmoid' } },
    x => clip(0.2 * x + 0.5, 0, 1)
  ],
  [
    'hard sigmoid of Keras 3',
    { class_name: 'Activation', config: { activation: 'hard_sigmoid' } },
    x => clip(x / 6 + 0.5, 0, 1),
    '3.8.0'
  ],
  [
    'hard swish',
    { class_name: 'Activation', config: { activation: 'hard_silu' } },
    x => (x * clip(x + 3, 0, 6)) / 6,
    '3.8.0'
  ],
  [
    'an activation that is a layer',
    { class_name: 'Activation', config: { activation: { class_name: 'LeakyReLU', config: { negative_slope: 0.1 } } } },
    x => (x > 0 ? x : 0.1 * x),
    '3.8.0'
  ],
  [
    'an activation that is a function',
    {
      class_name: 'Activation',
      config: {
        activation: { class_name: 'function', config: 'relu6', module: 'builtins', registered_name: 'function' }
      }
    },
    x => clip(x, 0, 6),
    '3.8.0'
  ],
  [
    'Rescaling, one number for each channel',
    { class_name: 'Rescaling', config: { scale: [1, 2, 3], offset: 0.5 } },
    (x, channel) => x * (channel + 1) + 0.5
  ],
  [
    'Normalization with statistics as settings',
    { class_name: 'Normalization', config: { axis: [-1], mean: [0.1, 0.2, 0.3], variance: [[[[4, 9, 16]]]] } },
    (x, channel) => (x - (channel + 1) / 10) / (channel + 2)
  ],
  ['layers of training', { class_name: 'SpatialDropout2D', config: { rate: 0.5 } }, x => x],
  ['augmentation', { class_name: 'RandomRotation', config: { factor: 0.2 } }, x => x]
]

for (const [name, layer, formula, version] of formulas) {
  test(`${name}, by its formula`, async t => {
    const answer = await answerOf(t, {
      layer,
      images: steep,
      values: 18,
      ...(version === undefined ? {} : { version })
    })
    const difference = largestDifference(
      answer,
      steep.data.map((x, i) => formula(x, i % 3))
    )
    assert.ok(difference <= 1e-5, `off by ${difference}`)
  })
}

/** x / 2 − 1, times 3, plus 0.5: what `preprocess_input` and operators between layers become. */
const operators: Record<string, Array<[config: object, inbound: (from: string, operand: number) => unknown]>> = {
  'Keras 2': ['math.truediv', 'math.subtract', 'math.multiply', '__operators__.add'].map(name => [
    { class_name: 'TFOpLambda', config: { function: name } },
    (from, operand) => [from, 0, 0, { y: operand, name: null }]
  ]),
  'Keras 3': ['TrueDivide', 'Subtract', 'Multiply', 'Add'].map(name => [
    { class_name: name, config: {} },
    (from, operand) => ({
      args: [{ class_name: '__keras_tensor__', config: { keras_history: [from, 0, 0] } }, operand],
      kwargs: {}
    })
  ])
}

for (const [version, steps] of Object.entries(operators)) {
  test(`operators with a number, as ${version} writes them`, async t => {
    const chain = steps.map(([layer, inbound], i) => ({
      ...layer,
      name: `step${i + 1}`,
      inbound_nodes: [inbound(`step${i}`, [2, 1, 3, 0.5][i] ?? 0)]
    }))
    const after = (name: string, from: string, layer: object) => ({
      name,
      inbound_nodes: [[[from, 0, 0, {}]]],
      ...layer
    })
    const layers = [
      { name: 'step0', class_name: 'InputLayer', config: { batch_input_shape: [null, 2, 3, 3] }, inbound_nodes: [] },
      ...chain,
      after('flatten', 'step4', { class_name: 'Flatten', config: {} }),
      after('scores', 'flatten', { class_name: 'Dense', config: { units: 18, use_bias: false } })
    ]
    const identity = Float32Array.from({ length: 18 * 18 }, (_, i) => (i % 19 === 0 ? 1 : 0))
    const config = {
      class_name: 'Functional',
      config: { name: 'operators', layers, input_layers: [['step0', 0, 0]], output_layers: [['scores', 0, 0]] }
    }
    const network = await readKerasH5(
      await saveModel(temporaryFolder(t), {
        config,
        layers: new Map([['scores', [{ name: 'scores/kernel', shape: [18, 18], data: identity }]]])
      })
    )
    assert.deepEqual(
      network.layers.map(({ kind }) => kind),
      ['input', 'affine', 'reshape', 'dense']
    )
    const expected = small.data.map(x => (x / 2 - 1) * 3 + 0.5)
    for (const run of [runTfjs, runOnnx])
      assert.ok(largestDifference(await run(network, small), expected) <= 1e-5, run.name)
  })
}

test('Normalization with its statistics among the weights', async t => {
  const tensors = [
    ['mean', 0.5, 1, 1.5],
    ['variance', 4, 9, 0]
  ].map(([name, ...values]) => ({ name: `probed/${name}:0`, shape: [3], data: Float32Array.from(values.map(Number)) }))
  const answer = await answerOf(t, {
    layer: { class_name: 'Normalization', config: { axis: -1 } },
    images: { ...steep, data: steep.data.map((x, i) => (i % 3 === 2 ? 1.5 : x)) },
    values: 18,
    tensors: [...tensors, { name: 'probed/count:0', shape: [], data: Float32Array.of(7) }]
  })
  // A variance of 0 does not divide by 0.
  const expected = steep.data.map((x, i) => (i % 3 === 0 ? (x - 0.5) / 2 : i % 3 === 1 ? (x - 1) / 3 : 0))
  assert.ok(largestDifference(answer, expected) <= 1e-3)
})

test('a grouped convolution is one for each group', async t => {
  const kernel = randomWeights(createRandom(8), { kind: 'kernel', shape: [1, 1, 1, 6] })
  const tensors = [{ name: 'probed/kernel:0', shape: [1, 1, 1, 6], data: kernel }]
  const answer = await answerOf(t, {
    layer: { class_name: 'Conv2D', config: { filters: 6, kernel_size: 1, groups: 3, use_bias: false } },
    images: small,
    values: 36,
    tensors
  })
  const expected = Float32Array.from(
    { length: small.data.length * 2 },
    (_, i) => (small.data[Math.floor(i / 2)] ?? 0) * (kernel[i % 6] ?? 0)
  )
  assert.ok(largestDifference(answer, expected) <= 1e-5)
})

test('a convolution of groups of several channels', async t => {
  const layers = [
    { class_name: 'InputLayer', config: { name: 'image', batch_shape: [null, 2, 3, 3] } },
    { class_name: 'Conv2D', config: { name: 'wide', filters: 4, kernel_size: 1, use_bias: false } },
    { class_name: 'Conv2D', config: { name: 'grouped', filters: 4, kernel_size: [2, 2], padding: 'same', groups: 2 } },
    { class_name: 'GlobalMaxPooling2D', config: { name: 'pool', keepdims: true } },
    { class_name: 'Flatten', config: { name: 'flatten' } }
  ]
  const random = createRandom(9)
  const tensor = (name: string, shape: number[]): H5Tensor => ({
    name,
    shape,
    data: randomWeights(random, { kind: name, shape })
  })
  const grouped = tensor('grouped/kernel', [2, 2, 2, 4])
  const bias = tensor('grouped/bias', [4])
  const wide = tensor('wide/kernel', [1, 1, 3, 4])
  const path = await saveModel(temporaryFolder(t), {
    config: { class_name: 'Sequential', config: { name: 'groups', layers } },
    layers: new Map([
      ['wide', [wide]],
      ['grouped', [grouped, bias]]
    ])
  })
  const network = await readKerasH5(path)
  const onnx = await runOnnx(network, small)
  const difference = largestDifference(await runTfjs(network, small), onnx)
  assert.ok(difference <= 1e-5, `TensorFlow.js and ONNX differ by ${difference}`)
})

test('weights alone whose network is unknown are refused with what is known', async t => {
  const path = await writeH5(join(temporaryFolder(t), 'mine.h5'), root =>
    fillLayers(root, new Map([['dense', [{ name: 'dense/kernel:0', shape: [2, 2], data: new Float32Array(4) }]]]))
  )
  await assert.rejects(readKerasH5(path), {
    code: 'KERAS',
    message: /mine\.h5: weights alone.*\(dense …\).*resnet50, mobilenetv2, efficientnetb0.*model\.save/
  })
  await assert.rejects(readKerasH5(path, { architecture: 'resnet50' }), {
    code: 'KERAS',
    message: /not the weights of a whole resnet50: there are none for "conv1_conv"/
  })
  await assert.rejects(readKerasH5(path, { architecture: 'vgg16' }), {
    code: 'KERAS',
    message: /architecture "vgg16" is not known: resnet50, mobilenetv2, efficientnetb0 are/
  })
})

test('files that are not a model say so', async t => {
  const folder = temporaryFolder(t)
  const model = twoBranches()
  const whole = await saveModel(folder, { config: configOf(model), layers: await tensorsByLayer(model) })
  const cases: Array<[name: string, content: Uint8Array | string, message: RegExp]> = [
    ['text.h5', 'no HDF5 at all', /text\.h5: not a readable HDF5 file: file signature not found/],
    ['empty.h5', '', /empty\.h5: not a readable HDF5 file/],
    ['cut.h5', readFileSync(whole).subarray(0, 4_000), /cut\.h5: not a readable HDF5 file: truncated file/]
  ]
  for (const [name, content, message] of cases) {
    writeFileSync(join(folder, name), content)
    await assert.rejects(readKerasH5(join(folder, name)), { code: 'KERAS', message })
  }
  await assert.rejects(readKerasH5(join(folder, 'absent.h5')), { code: 'KERAS', message: /absent\.h5: no such file/ })
  const other = await writeH5(join(folder, 'other.h5'), root =>
    createTensor(root, { name: 'pictures', shape: [1], data: new Float32Array(1) })
  )
  await assert.rejects(readKerasH5(other), { code: 'KERAS', message: /other\.h5: an HDF5 file, but not one of Keras/ })
})

test('a damaged file says so, wherever the damage is', async t => {
  const folder = temporaryFolder(t)
  const model = twoBranches()
  randomize(model, 1)
  const bytes = readFileSync(await saveModel(folder, { config: configOf(model), layers: await tensorsByLayer(model) }))
  const path = join(folder, 'damaged.h5')
  let refused = 0
  for (let at = 64; at < bytes.length; at += 997) {
    const damaged = Uint8Array.from(bytes)
    damaged.fill(0xee, at, at + 32)
    writeFileSync(path, damaged)
    // Where only numbers are hit the file can't know it.
    await readKerasH5(path).catch(error => {
      assert.equal(error.code, 'KERAS', `at ${at}: ${error.stack}`)
      refused++
    })
  }
  assert.ok(refused > 3, `${refused} refused`)
})

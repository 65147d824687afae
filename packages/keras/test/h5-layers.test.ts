import assert from 'node:assert/strict'
import { before, test, type TestContext } from 'node:test'
import { readKerasH5 } from '../src/read-h5.ts'
import { temporaryFolder, type H5Tensor, saveModel } from './files.ts'
import { createRandom, randomImages, randomWeights } from './random.ts'
import { largestDifference, runOnnx, runTfjs, useWasm, type Images } from './run.ts'

before(useWasm)

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

import assert from 'node:assert/strict'
import { before, test, type TestContext } from 'node:test'
import * as tf from '@tensorflow/tfjs-layers'
import { type Layer } from '../src/ir.ts'
import { readTfjsLayers } from '../src/read-tfjs.ts'
import { saveTfjs, temporaryFolder } from './files.ts'
import { randomImages, randomize } from './random.ts'
import { largestDifference, predict, runOnnx, runTfjs, useWasm } from './run.ts'

/** Sizes that no stride divides: there `same` pads more below and to the right. */
const size = { height: 11, width: 14 }
const { layers } = tf
type Tensor = tf.SymbolicTensor

before(useWasm)

/** TensorFlow.js' own answer, our artifact for it and our ONNX agree on one image and on three. */
async function assertSameAnswers(t: TestContext, model: tf.LayersModel): Promise<readonly Layer[]> {
  randomize(model, 5)
  const { network } = await readTfjsLayers(await saveTfjs(model, temporaryFolder(t)))
  for (const count of [1, 3]) {
    const images = randomImages({ count, ...size, seed: 11 })
    const expected = await predict(model, images)
    assert.ok(largestDifference(expected, new Float32Array(expected.length)) > 0.05, 'scores that say something')
    for (const [artifact, run] of [
      ['TensorFlow.js', runTfjs],
      ['ONNX', runOnnx]
    ] as const) {
      const difference = largestDifference(await run(network, images), expected)
      assert.ok(difference <= 1e-4, `${artifact}, ${count} images: off by ${difference}`)
    }
  }
  return network.layers
}

function image(): Tensor {
  return tf.input({ shape: [size.height, size.width, 3], name: 'image' })
}

function apply(x: Tensor | Tensor[], ...steps: tf.layers.Layer[]): Tensor {
  return steps.reduce<Tensor | Tensor[]>((x, layer) => layer.apply(x) as Tensor, x) as Tensor
}

/** A model whose scores depend on every value that the layers give. */
function classifier(steps: (x: Tensor) => Tensor): tf.LayersModel {
  const x = image()
  const end = steps(x)
  const vector = end.shape.length > 2 ? [layers.flatten()] : []
  return tf.model({ inputs: x, outputs: apply(end, ...vector, layers.dense({ units: 5 })) })
}

const conv = (config: object = {}) => layers.conv2d({ filters: 6, kernelSize: 3, ...config })
const bn = (config: object = {}) => layers.batchNormalization(config)

const cases: Record<string, (x: Tensor) => Tensor> = {
  'Conv2D, valid': x => apply(x, conv()),
  'Conv2D, same': x => apply(x, conv({ padding: 'same' })),
  'Conv2D, same with strides': x => apply(x, conv({ padding: 'same', strides: 2 })),
  'Conv2D, valid with strides': x => apply(x, conv({ kernelSize: [2, 5], strides: [2, 3] })),
  'Conv2D, same, a kernel and strides that are not square': x =>
    apply(x, conv({ kernelSize: [3, 4], strides: [3, 2], padding: 'same' })),
  'Conv2D, dilated, valid': x => apply(x, conv({ dilationRate: 2 })),
  'Conv2D, dilated, same': x => apply(x, conv({ dilationRate: [2, 3], padding: 'same' })),
  'Conv2D without bias': x => apply(x, conv({ useBias: false })),
  'DepthwiseConv2D, same with strides': x =>
    apply(x, layers.depthwiseConv2d({ kernelSize: 3, strides: 2, padding: 'same' })),
  'DepthwiseConv2D, depth multiplier, valid, activation': x =>
    apply(x, layers.depthwiseConv2d({ kernelSize: [3, 2], depthMultiplier: 3, activation: 'relu' })),
  'DepthwiseConv2D without bias': x => apply(x, layers.depthwiseConv2d({ kernelSize: 3, useBias: false })),
  'SeparableConv2D, depth multiplier, strides, activation': x =>
    apply(
      x,
      layers.separableConv2d({
        filters: 7,
        kernelSize: 3,
        strides: 2,
        padding: 'same',
        depthMultiplier: 2,
        activation: 'tanh'
      })
    ),
  'SeparableConv2D without bias': x => apply(x, layers.separableConv2d({ filters: 7, kernelSize: 3, useBias: false })),
  'Dense on an image': x => apply(x, layers.dense({ units: 4, activation: 'relu' })),
  'Dense on a list of vectors': x =>
    apply(x, layers.reshape({ targetShape: [77, 6] }), layers.dense({ units: 4, activation: 'sigmoid' })),
  'Dense without bias': x => apply(x, layers.flatten(), layers.dense({ units: 9, useBias: false, activation: 'relu' })),
  'BatchNormalization without scale': x => apply(x, conv(), bn({ scale: false, epsilon: 0.01 })),
  'BatchNormalization without center': x => apply(x, conv({ useBias: false }), bn({ center: false })),
  'BatchNormalization of a vector': x =>
    apply(x, layers.flatten(), layers.dense({ units: 6 }), layers.activation({ activation: 'relu' }), bn()),
  'BatchNormalization of a list of vectors': x => apply(x, layers.reshape({ targetShape: [14, 33] }), bn()),
  Rescaling: x => apply(x, layers.rescaling({ scale: 0.7, offset: -0.3 }), conv({ padding: 'same' })),
  ReLU: x => apply(x, layers.reLU()),
  'ReLU with a maximum': x => apply(x, layers.reLU({ maxValue: 0.4 })),
  LeakyReLU: x => apply(x, layers.leakyReLU({ alpha: 0.2 })),
  ThresholdedReLU: x => apply(x, layers.thresholdedReLU({ theta: 0.3 })),
  ELU: x => apply(x, layers.elu()),
  'Softmax of an image': x => apply(x, layers.softmax({ axis: -1 })),
  'Softmax of a vector': x => apply(x, layers.globalAveragePooling2d({}), layers.softmax({ axis: -1 })),
  'MaxPooling2D, valid': x => apply(x, layers.maxPooling2d({ poolSize: 2 })),
  'MaxPooling2D, same with strides': x => apply(x, layers.maxPooling2d({ poolSize: 3, strides: 2, padding: 'same' })),
  'AveragePooling2D, valid with strides': x => apply(x, layers.averagePooling2d({ poolSize: [2, 3], strides: [1, 2] })),
  'AveragePooling2D, same: the padding is not averaged': x =>
    apply(x, layers.averagePooling2d({ poolSize: 3, strides: 2, padding: 'same' })),
  GlobalAveragePooling2D: x => apply(x, conv(), layers.globalAveragePooling2d({})),
  GlobalMaxPooling2D: x => apply(x, conv(), layers.globalMaxPooling2d({})),
  'ZeroPadding2D on all sides unlike': x =>
    apply(
      x,
      layers.zeroPadding2d({
        padding: [
          [0, 1],
          [2, 3]
        ]
      }),
      conv({ strides: 2 })
    ),
  'ZeroPadding2D, one number': x => apply(x, layers.zeroPadding2d({ padding: 2 })),
  'Add of three, with one repeated over the image': x =>
    apply(
      [
        apply(x, conv({ padding: 'same' })),
        apply(x, conv({ padding: 'same', activation: 'relu' })),
        apply(x, layers.globalMaxPooling2d({}), layers.dense({ units: 6 }), layers.reshape({ targetShape: [1, 1, 6] }))
      ],
      layers.add()
    ),
  'Add of a vector to an image': x => apply([x, apply(x, layers.globalAveragePooling2d({}))], layers.add()),
  'Multiply as in squeeze and excitation': x =>
    apply(
      [
        x,
        apply(
          x,
          layers.globalAveragePooling2d({}),
          layers.reshape({ targetShape: [1, 1, 3] }),
          conv({ filters: 3, kernelSize: 1, activation: 'sigmoid' })
        )
      ],
      layers.multiply()
    ),
  'Concatenate, channels': x => apply([x, apply(x, conv({ padding: 'same' }))], layers.concatenate()),
  'Concatenate, rows': x =>
    apply([x, apply(x, layers.maxPooling2d({ poolSize: [2, 1] }))], layers.concatenate({ axis: 1 })),
  'Concatenate, columns': x =>
    apply([x, apply(x, layers.maxPooling2d({ poolSize: [1, 2] }))], layers.concatenate({ axis: 2 })),
  'Concatenate, vectors': x =>
    apply([apply(x, layers.globalMaxPooling2d({})), apply(x, layers.globalAveragePooling2d({}))], layers.concatenate()),
  'Reshape of an image to another image': x => apply(x, layers.reshape({ targetShape: [7, 11, 6] }), conv()),
  'Reshape of a vector to an image': x =>
    apply(
      x,
      layers.globalAveragePooling2d({}),
      layers.dense({ units: 36 }),
      layers.reshape({ targetShape: [3, 4, 3] }),
      conv({ kernelSize: 2 })
    ),
  'Flatten after a convolution': x => apply(x, conv({ strides: 2 }), layers.flatten(), layers.dense({ units: 8 })),
  'layers of training': x =>
    apply(
      x,
      layers.dropout({ rate: 0.5 }),
      layers.gaussianNoise({ stddev: 1 }),
      layers.gaussianDropout({ rate: 0.5 }),
      layers.alphaDropout({ rate: 0.5 }),
      conv()
    )
}

for (const activation of [
  'linear',
  'relu',
  'relu6',
  'elu',
  'selu',
  'sigmoid',
  'hardSigmoid',
  'tanh',
  'swish',
  'softplus',
  'softsign',
  'softmax'
]) {
  cases[`activation ${activation}, inside a layer and alone`] = x =>
    apply(x, conv({ activation }), conv(), layers.activation({ activation: activation as 'relu' }))
}

for (const [name, steps] of Object.entries(cases)) {
  test(name, async t => {
    await assertSameAnswers(t, classifier(steps))
  })
}

// TensorFlow.js itself forgets the dilation of a depthwise convolution, so its own answer can't be the measure.
for (const padding of ['same', 'valid'] as const) {
  test(`DepthwiseConv2D and SeparableConv2D, dilated, ${padding}`, async t => {
    const model = classifier(x =>
      apply(
        x,
        layers.depthwiseConv2d({ kernelSize: [2, 3], dilationRate: 2, padding, useBias: false }),
        layers.separableConv2d({ filters: 4, kernelSize: 3, dilationRate: [2, 3], padding, depthMultiplier: 2 }),
        layers.globalAveragePooling2d({})
      )
    )
    randomize(model, 5)
    const { network } = await readTfjsLayers(await saveTfjs(model, temporaryFolder(t)))
    assert.deepEqual(
      network.layers.slice(1, 3).map(layer => layer.kind === 'conv' && layer.dilation),
      [
        [2, 2],
        [2, 3]
      ]
    )
    const images = randomImages({ count: 3, ...size, seed: 11 })
    const difference = largestDifference(await runTfjs(network, images), await runOnnx(network, images))
    assert.ok(difference <= 1e-4, `off by ${difference}`)
  })
}

test('normalization is folded into the convolution or dense layer before it', async t => {
  const kinds = (
    await assertSameAnswers(
      t,
      classifier(x =>
        apply(
          x,
          conv(),
          bn(),
          layers.reLU(),
          layers.depthwiseConv2d({ kernelSize: 3, depthMultiplier: 2 }),
          bn(),
          layers.separableConv2d({ filters: 4, kernelSize: 2 }),
          bn(),
          bn(),
          layers.flatten(),
          layers.dense({ units: 7 }),
          bn()
        )
      )
    )
  ).map(({ kind }) => kind)
  assert.deepEqual(kinds, ['input', 'conv', 'relu', 'conv', 'conv', 'conv', 'reshape', 'dense', 'dense'])
})

test('normalization stays where folding would change another reader, an activation or the padding', async t => {
  const shared = await assertSameAnswers(
    t,
    classifier(x => {
      const y = apply(x, conv({ padding: 'same' }))
      return apply([y, apply(y, bn())], layers.add())
    })
  )
  assert.equal(shared.filter(({ kind }) => kind === 'affine').length, 1)
  const apart = await assertSameAnswers(
    t,
    classifier(x =>
      apply(x, bn(), conv({ padding: 'same', activation: 'relu' }), bn(), layers.maxPooling2d({ poolSize: 2 }), bn())
    )
  )
  assert.equal(apart.filter(({ kind }) => kind === 'affine').length, 3)
})

test('a Sequential model', async t => {
  await assertSameAnswers(
    t,
    tf.sequential({
      layers: [
        conv({ inputShape: [size.height, size.width, 3] }),
        bn(),
        layers.globalAveragePooling2d({}),
        layers.dense({ units: 4, activation: 'softmax' })
      ]
    })
  )
})

test('a model inside a model inside a model, whose layers share names with those around them', async t => {
  const x = tf.input({ shape: [null, null, 3] })
  const inner = tf.sequential({
    name: 'inner',
    layers: [conv({ inputShape: [size.height, size.width, 3], name: 'conv' }), bn({ name: 'bn' })]
  })
  const base = tf.model({
    inputs: x,
    outputs: apply(x, layers.zeroPadding2d({ padding: 1 }), conv({ name: 'conv_a' }), layers.reLU()),
    name: 'base'
  })
  const model = tf.sequential({
    layers: [
      inner,
      layers.conv2d({ filters: 3, kernelSize: 1, name: 'between' }),
      base,
      layers.globalMaxPooling2d({}),
      layers.dense({ units: 4 })
    ]
  })
  await assertSameAnswers(t, model)
})

test('scores from a convolution, with a reshape after the softmax', async t => {
  const x = image()
  const model = tf.model({
    inputs: x,
    outputs: apply(
      x,
      layers.globalAveragePooling2d({}),
      layers.reshape({ targetShape: [1, 1, 3] }),
      conv({ kernelSize: 1 }),
      layers.activation({ activation: 'softmax' }),
      layers.reshape({ targetShape: [6] })
    )
  })
  await assertSameAnswers(t, model)
  assert.equal((await readTfjsLayers(await saveTfjs(model, temporaryFolder(t)))).network.activation, 'softmax')
})

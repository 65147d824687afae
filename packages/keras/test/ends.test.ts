import assert from 'node:assert/strict'
import { join } from 'node:path'
import { before, test, type TestContext } from 'node:test'
import * as core from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-layers'
import type { Network } from '../src/ir.ts'
import { readKerasArchive } from '../src/read-archive.ts'
import { readKerasH5, type ReadOptions } from '../src/read-h5.ts'
import { readTfjsLayers } from '../src/read-tfjs.ts'
import { readFileSync } from 'node:fs'
import { asKeras3 } from './keras3.ts'
import { createTensor, fillLayers, saveTfjs, temporaryFolder, tensorsByLayer, writeH5 } from './files.ts'
import { createRandom, randomImages, randomize } from './random.ts'
import { largestDifference, predict, runOnnx, runTfjs, useWasm, type Images } from './run.ts'

/** What TensorFlow.js itself computes of the same model is what both artifacts must give. */
const size = { height: 9, width: 10 }
const shape = [size.height, size.width, 3]
const images = randomImages({ count: 3, ...size, seed: 5 })
const { layers } = tf

before(useWasm)

function classifier(name: string, activation: 'softmax' | 'sigmoid' | 'linear' = 'softmax', units = 4) {
  return tf.sequential({
    name,
    layers: [
      layers.conv2d({ name: `${name}-conv`, filters: 5, kernelSize: 3, activation: 'relu', inputShape: shape }),
      layers.globalAveragePooling2d({ name: `${name}-pool` }),
      layers.dense({ name: `${name}-dense`, units, activation })
    ]
  })
}

function input(): tf.SymbolicTensor {
  return tf.input({ shape })
}

function modelOf(of: (image: tf.SymbolicTensor) => unknown): tf.LayersModel {
  const image = input()
  return tf.model({ inputs: image, outputs: of(image) as tf.SymbolicTensor })
}

/** The network in a saved model, whose artifacts have been seen to compute what TensorFlow.js does. */
async function networkOf(t: TestContext, model: tf.LayersModel, options: ReadOptions = {}): Promise<Network> {
  randomize(model, 7)
  const { network } = await readTfjsLayers(await saveTfjs(model, temporaryFolder(t)), options)
  if (options.activation === undefined) await assertScores(network, await predict(model, images))
  return network
}

async function assertScores(network: Network, expected: Float32Array, of: Images = images): Promise<void> {
  for (const run of [runOnnx, runTfjs]) {
    const difference = largestDifference(await run(network, of), expected)
    assert.ok(difference <= 1e-4, `${run.name}: off by ${difference}`)
  }
}

test('softmax inside an inner model at the end is found: Teachable Machine’s form', async t => {
  const body = tf.sequential({
    layers: [layers.conv2d({ filters: 5, kernelSize: 3, inputShape: shape }), layers.globalAveragePooling2d({})]
  })
  const head = tf.sequential({
    layers: [
      layers.dense({ units: 6, activation: 'relu', inputShape: [5] }),
      layers.dense({ units: 3, activation: 'softmax', useBias: false })
    ]
  })
  const { activation, activationFrom, classes } = await networkOf(t, tf.sequential({ layers: [body, head] }))
  assert.deepEqual([activation, classes], ['softmax', 3])
  assert.match(activationFrom, /softmax in layer ".*dense/)
})

test('the mean of softmaxes is probabilities, their sum is refused with its mass, one shifted too', async t => {
  const [a, b] = [classifier('a'), classifier('b')]
  const mean = modelOf(image => layers.average().apply([a.apply(image), b.apply(image)] as tf.SymbolicTensor[]))
  assert.equal((await networkOf(t, mean)).activation, 'softmax')
  const sum = modelOf(image => layers.add().apply([a.apply(image), b.apply(image)] as tf.SymbolicTensor[]))
  await assert.rejects(networkOf(t, sum), { code: 'KERAS', message: /probabilities that add up to 2, not 1/ })
  const mixed = modelOf(image =>
    layers.average().apply([a.apply(image), classifier('c', 'linear').apply(image)] as tf.SymbolicTensor[])
  )
  await assert.rejects(networkOf(t, mixed), { code: 'KERAS', message: /shifted, weighed or mixed/ })
})

test('the mean of logits is logits; softmax of a pooled map of probabilities is probabilities', async t => {
  const [a, b] = [classifier('a', 'linear'), classifier('b', 'linear')]
  const mean = modelOf(image => layers.average().apply([a.apply(image), b.apply(image)] as tf.SymbolicTensor[]))
  assert.equal((await networkOf(t, mean)).activation, 'logits')
  const map = modelOf(image => {
    const scores = layers.conv2d({ filters: 4, kernelSize: 3 }).apply(image)
    return layers.globalAveragePooling2d({}).apply(layers.softmax({ axis: -1 }).apply(scores))
  })
  assert.equal((await networkOf(t, map)).activation, 'softmax')
})

test('one sigmoid unit is two classes; a single score becomes one if that was asked for', async t => {
  const unit = await networkOf(
    t,
    modelOf(image => classifier('a', 'sigmoid', 1).apply(image))
  )
  assert.deepEqual([unit.activation, unit.classes], ['sigmoid', 2])
  const model = modelOf(image => classifier('a', 'linear', 1).apply(image))
  await assert.rejects(networkOf(t, model), { code: 'KERAS', message: /--activation sigmoid/ })
  const added = await networkOf(t, model, { activation: 'sigmoid' })
  const logits = await predict(model, images)
  await assertScores(
    added,
    logits.map(logit => 1 / (1 + Math.exp(-logit)))
  )
})

test('a layer and a model used several times keep their weights', async t => {
  const twice = modelOf(image => {
    const conv = layers.conv2d({ filters: 3, kernelSize: 3, padding: 'same' })
    const tower = classifier('tower', 'linear')
    const once = conv.apply(conv.apply(image))
    return layers
      .softmax()
      .apply(layers.minimum().apply([tower.apply(once), tower.apply(image)] as tf.SymbolicTensor[]))
  })
  await networkOf(t, twice)
})

test('gelu, mish, PReLU, layer normalization, maximum and cropping', async t => {
  const model = modelOf(image => {
    let x = layers.conv2d({ filters: 4, kernelSize: 3, activation: 'gelu' }).apply(image)
    x = layers.prelu({ sharedAxes: [1, 2] }).apply(x)
    x = layers.layerNormalization().apply(x)
    x = layers
      .cropping2D({
        cropping: [
          [1, 0],
          [0, 2]
        ]
      })
      .apply(x)
    const mish = layers.conv2d({ filters: 4, kernelSize: 1, activation: 'mish' }).apply(x)
    const own = layers.prelu({}).apply(layers.conv2d({ filters: 4, kernelSize: 1, activation: 'gelu_new' }).apply(x))
    x = layers.flatten().apply(layers.maximum().apply([mish, own] as tf.SymbolicTensor[]))
    return layers.layerNormalization().apply(layers.dense({ units: 5 }).apply(x))
  })
  const logits = modelOf(image => layers.dense({ units: 4 }).apply(model.apply(image)))
  await networkOf(t, logits)
})

test('Rescaling in front says that the model takes pixels, nested or not; without it nothing is said', async t => {
  const bare = classifier('bare')
  const rescaled = modelOf(image => bare.apply(layers.rescaling({ scale: 1 / 255 }).apply(image)))
  assert.equal((await networkOf(t, rescaled)).pixels?.range, '0-255')
  const nested = modelOf(image => layers.dropout({ rate: 0.5 }).apply(rescaled.apply(image)))
  assert.match((await networkOf(t, nested)).pixels?.from ?? '', /prepares pixels itself: ".*rescaling/)
  assert.equal(
    (
      await networkOf(
        t,
        modelOf(image => bare.apply(image))
      )
    ).pixels,
    undefined
  )
  // Statistics of pixels in 0-1, as a Normalization has them that was adapted to such.
  const unit = modelOf(image => bare.apply(layers.rescaling({ scale: 4, offset: -2 }).apply(image)))
  assert.equal((await networkOf(t, unit)).pixels?.range, '0-1')
})

type Json = Record<string, unknown>
const keras3Tensor = (name: string): Json => ({
  class_name: '__keras_tensor__',
  config: { shape: [null, 4, 4, 3], dtype: 'float32', keras_history: [name, 0, 0] }
})
const keras3Node = (className: string, name: string, args: unknown[], config: Json = {}): Json => ({
  module: 'keras.src.ops.numpy',
  class_name: className,
  config: { name, ...config },
  name,
  inbound_nodes: [{ args, kwargs: {} }]
})

/** A Functional model of Keras 3 that ends in one sum over the image for each channel. */
async function keras3File(t: TestContext, front: Json[], last: string): Promise<string> {
  const image = { class_name: 'InputLayer', name: 'image', config: { name: 'image', batch_shape: [null, 4, 4, 3] } }
  const pool = keras3Node('GlobalAveragePooling2D', 'pool', [keras3Tensor(last)])
  const dense = keras3Node('Dense', 'scores', [keras3Tensor('pool')], { units: 3, use_bias: false })
  const config = {
    name: 'functional',
    layers: [{ ...image, inbound_nodes: [] }, ...front, pool, dense],
    input_layers: [['image', 0, 0]],
    output_layers: [['scores', 0, 0]]
  }
  const kernel = { name: 'scores/kernel', shape: [3, 3], data: Float32Array.of(1, 0, 0, 0, 1, 0, 0, 0, 1) }
  return await writeH5(join(temporaryFolder(t), 'model.h5'), root => {
    root.create_attribute('model_config', JSON.stringify({ class_name: 'Functional', config }))
    root.create_attribute('keras_version', '3.15.1')
    fillLayers(root.create_group('model_weights'), new Map([['scores', [kernel]]]))
  })
}

test('preprocess_input of Keras 3 inside the model: RGB turned into BGR, less the means', async t => {
  const pick = (channel: number) =>
    keras3Node('GetItem', `item${channel}`, [
      keras3Tensor('image'),
      [{ class_name: '__ellipsis__', config: {} }, channel]
    ])
  const means = { class_name: '__tensor__', config: { value: [[[[-103, -116, -123]]]], dtype: 'float32' } }
  const stack = keras3Node('Stack', 'stack', [[2, 1, 0].map(i => keras3Tensor(`item${i}`))], { axis: -1 })
  const front = [...[2, 1, 0].map(pick), stack, keras3Node('Add', 'add', [keras3Tensor('stack'), means])]
  const network = await readKerasH5(await keras3File(t, front, 'add'))
  assert.equal(network.pixels?.range, '0-255')
  const data = Float32Array.from({ length: 48 }, (_, i) => [200, 100, 50][i % 3] ?? 0)
  const expected = Float32Array.of(50 - 103, 100 - 116, 200 - 123)
  await assertScores(network, expected, { count: 1, height: 4, width: 4, data })
})

test('a number on the left of an operator, and a slice that reverses', async t => {
  const reversed = keras3Node('GetItem', 'item', [
    keras3Tensor('image'),
    [
      { class_name: '__ellipsis__', config: {} },
      { class_name: '__slice__', config: { start: null, stop: null, step: -1 } }
    ]
  ])
  const front = [reversed, keras3Node('Subtract', 'subtract', [255, keras3Tensor('item')])]
  const network = await readKerasH5(await keras3File(t, front, 'subtract'))
  const data = Float32Array.from({ length: 48 }, (_, i) => [200, 100, 50][i % 3] ?? 0)
  await assertScores(network, Float32Array.of(205, 155, 55), { count: 1, height: 4, width: 4, data })
})

test('Resizing inside a model, as TensorFlow resizes; in front of one that takes any size it gives the size', async t => {
  const data = randomImages({ count: 1, height: 4, width: 4, seed: 9 }).data
  for (const interpolation of ['bilinear', 'nearest'] as const) {
    const resize = keras3Node('Resizing', 'resize', [keras3Tensor('image')], { height: 7, width: 3, interpolation })
    const network = await readKerasH5(await keras3File(t, [resize], 'resize'))
    const picture = core.tensor4d(data, [1, 4, 4, 3])
    const resized =
      interpolation === 'bilinear'
        ? core.image.resizeBilinear(picture, [7, 3], false, true)
        : core.image.resizeNearestNeighbor(picture, [7, 3], false, true)
    const expected = Float32Array.from(await core.mean(resized, [1, 2]).data())
    await assertScores(network, expected, { count: 1, height: 4, width: 4, data })
  }
})

/** A model as a `.keras` file holds it: each layer's tensors by number, below its class. */
async function archiveOf(t: TestContext, container: 'layers' | '_layer_checkpoint_dependencies') {
  const model = tf.sequential({
    layers: [
      layers.conv2d({ name: 'first', filters: 3, kernelSize: 3, padding: 'same', inputShape: shape }),
      layers.conv2d({ name: 'second', filters: 3, kernelSize: 3, padding: 'same' }),
      layers.batchNormalization({ name: 'norm' }),
      layers.globalAveragePooling2d({ name: 'pool' }),
      layers.dense({ name: 'scores', units: 4, activation: 'softmax' })
    ]
  })
  randomize(model, 3)
  const tensors = await tensorsByLayer(model)
  const second = container === 'layers' ? 'conv2d_1' : 'conv2d_2'
  const groups = { conv2d: 'first', [second]: 'second', batch_normalization: 'norm', dense: 'scores' }
  const path = await writeH5(join(temporaryFolder(t), 'model.weights.h5'), root => {
    for (const [group, name] of Object.entries({ ...groups, global_average_pooling2d: 'pool' }))
      (tensors.get(name) ?? []).forEach((tensor, i) =>
        createTensor(root, { ...tensor, name: `${container}/${group}/vars/${i}` })
      )
    const layersGroup = root.get(container)
    if (layersGroup !== null && 'create_group' in layersGroup) layersGroup.create_group('global_average_pooling2d')
  })
  const config = asKeras3(JSON.parse(model.toJSON() as string) as { class_name: string; config: Json })
  return { model, archive: { config: Buffer.from(JSON.stringify(config)), weights: readFileSync(path) } }
}

for (const container of ['layers', '_layer_checkpoint_dependencies'] as const) {
  test(`a .keras file with its weights in ${container}`, async t => {
    const { model, archive } = await archiveOf(t, container)
    const metadata = Buffer.from('{"keras_version":"3.15.1"}')
    const network = await readKerasArchive('mine.keras', { ...archive, metadata })
    await assertScores(network, await predict(model, images))
    await assert.rejects(readKerasArchive('mine.keras', archive), { code: 'KERAS', message: /no metadata\.json/ })
  })
}

test('weights that an HDF5 file keeps in another file are not read', async t => {
  const folder = temporaryFolder(t)
  const other = await writeH5(join(folder, 'other.h5'), root => {
    const data = Float32Array.from({ length: 9 }, createRandom(1))
    createTensor(root, { name: 'scores/scores/kernel', shape: [3, 3], data })
  })
  const whole = await keras3File(t, [], 'image')
  const { File } = await import('h5wasm/node')
  const file = new File(whole, 'a')
  const weights = file.get('model_weights')
  if (weights === null || !('create_external_link' in weights)) throw new Error('no group')
  weights.create_external_link(other, 'scores', 'elsewhere')
  file.close()
  await assert.doesNotReject(readKerasH5(whole))
  const linked = await writeH5(join(folder, 'linked.h5'), root => {
    const from = new File(whole, 'r')
    root.create_attribute('model_config', String(from.attrs['model_config']?.value))
    root.create_attribute('keras_version', '3.15.1')
    from.close()
    root.create_group('model_weights').create_external_link(other, 'scores', 'scores')
  })
  await assert.rejects(readKerasH5(linked), { code: 'KERAS', message: /no group "model_weights\/scores"|another file/ })
})

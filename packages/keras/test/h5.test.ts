import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inflateSync } from 'node:zlib'
import { before, test } from 'node:test'
import * as tf from '@tensorflow/tfjs-layers'
import { tensorAt, withH5Bytes } from '../src/h5.ts'
import { readKerasH5 } from '../src/read-h5.ts'
import { createTensor, fillLayers, temporaryFolder, tensorsByLayer, writeH5, saveModel } from './files.ts'
import { randomImages, randomize } from './random.ts'
import { largestDifference, predict, runOnnx, runTfjs, useWasm } from './run.ts'
import { asKeras3 } from './keras3.ts'

const size = { height: 9, width: 10 }
const images = randomImages({ count: 2, ...size, seed: 3 })

before(useWasm)

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

/** Made by h5py 3.16, as the library writes no halves: 1, -2 and the least denormal in both orders of bytes. Deflated. */
const halves = [
  'eNrr9HBx4+WS4mLm4GCAgf9QcJ0JwjeAiq9flizt7+ESxMRQwSSErBAGuJgYGBkY2AQZgBRbTmZJSU7qZqheNj6QIHNSZvpRRqiQ',
  'IQPpgNHFdALYCYwMjIwiDAxMjIyMzFA5OC3CwCiowM8Acb0AAxcrAxc/kMUKdB0zFwfQ5cyM+6GOYIMZvIFhyAEh7/x8BhuGA4wM',
  'RIWIIv4Qucg09EPk0caTH4EBAkwmANMGMo4='
]

test('weights of 16 bits are read, in either order of bytes', async () => {
  const bytes = inflateSync(Buffer.from(halves.join(''), 'base64'))
  const read = (name: string) => withH5Bytes('halves.h5', bytes, root => tensorAt(root, name)?.read())
  for (const name of ['little', 'big']) assert.deepEqual(await read(name), Float32Array.of(1, -2, 2 ** -24))
})

import assert from 'node:assert/strict'
import { existsSync, readFileSync, readdirSync, truncateSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { before, test } from 'node:test'
import * as tf from '@tensorflow/tfjs-core'
import { layers, loadLayersModel, sequential, type LayersModel } from '@tensorflow/tfjs-layers'
import { readTfjsLayers } from '../src/read-tfjs.ts'
import { saveTfjs, temporaryFolder } from './files.ts'
import { randomImages, randomize } from './random.ts'
import { best, largestDifference, predict, probabilities, runOnnx, runTfjs, useWasm } from './run.ts'

const mobilenet = join(import.meta.dirname, '../../../../shared/assets/models/mobilenet_v1_0.25_224-tfjs/model.json')

before(useWasm)

function small(): LayersModel {
  const model = sequential({
    layers: [
      layers.conv2d({ filters: 4, kernelSize: 3, inputShape: [8, 8, 3], name: 'conv' }),
      layers.flatten(),
      layers.dense({ units: 3, name: 'scores' })
    ]
  })
  randomize(model, 1)
  return model
}

test(
  'a MobileNet converted by others, with its weights in 55 shards',
  { skip: existsSync(mobilenet) ? false : 'no ../shared/assets/models beside the project' },
  async () => {
    const { network } = await readTfjsLayers(mobilenet)
    assert.deepEqual(
      [network.input, network.classes, network.activation],
      [{ width: 224, height: 224 }, 1_000, 'softmax']
    )
    assert.ok(
      network.layers.every(({ kind }) => kind !== 'affine'),
      'all its normalization follows convolutions'
    )
    const original = await loadLayersModel({ load: () => readOriginal(mobilenet) })
    const images = randomImages({ count: 2, height: 224, width: 224, seed: 6 })
    const expected = await predict(original, images)
    for (const run of [runTfjs, runOnnx]) {
      const scores = await run(network, images)
      assert.ok(
        largestDifference(scores, expected) <= 1e-4,
        `${run.name}: off by ${largestDifference(scores, expected)}`
      )
      assert.deepEqual(probabilities(scores, network).map(best), probabilities(expected, network).map(best))
    }
  }
)

async function readOriginal(path: string): Promise<tf.io.ModelArtifacts> {
  const json = JSON.parse(readFileSync(path, 'utf8')) as tf.io.ModelJSON
  return await tf.io.getModelArtifactsForJSON(json, async manifest => {
    const shards = manifest
      .flatMap(({ paths }) => paths)
      .map(shard => new Uint8Array(readFileSync(join(dirname(path), shard))).buffer)
    return [tf.io.getWeightSpecs(manifest), tf.io.concatenateArrayBuffers(shards)]
  })
}

/** Weights as the converter quantizes them, by what TensorFlow.js itself decodes from them. */
for (const { dtype, bytes, quantization } of [
  { dtype: 'uint8', bytes: 1, quantization: { scale: 0.01, min: -1.2 } },
  { dtype: 'uint16', bytes: 2, quantization: { scale: 0.00004, min: -1.3 } },
  { dtype: 'float16', bytes: 2, quantization: {} }
]) {
  test(`weights quantized to ${dtype}`, async t => {
    const path = await saveTfjs(small(), temporaryFolder(t))
    const json = JSON.parse(readFileSync(path, 'utf8')) as tf.io.ModelJSON
    const [group] = json.weightsManifest
    assert.ok(group !== undefined)
    const size = group.weights.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0)
    // Every pattern of bits that is a number: denormals and both zeros of float16 among them.
    const raw = Buffer.from(
      Array.from({ length: size * bytes }, (_, i) =>
        bytes === 2 && i % 2 === 1 && dtype === 'float16'
          ? ((i * 37) % 0x30) | (i % 3 === 0 ? 0x80 : 0)
          : (i * 53) % 256
      )
    )
    writeFileSync(join(dirname(path), 'group1-shard1of1.bin'), raw)
    for (const weight of group.weights) Object.assign(weight, { quantization: { dtype, ...quantization } })
    writeFileSync(path, JSON.stringify(json))

    const decoded = tf.io.decodeWeights(new Uint8Array(raw).buffer, group.weights)
    const { network } = await readTfjsLayers(path)
    const [, conv, , dense] = network.layers
    assert.ok(conv?.kind === 'conv' && dense?.kind === 'dense')
    for (const [name, values] of [
      ['conv/kernel', conv.kernel],
      ['conv/bias', conv.bias],
      ['scores/kernel', dense.kernel],
      ['scores/bias', dense.bias]
    ] as const) {
      const expected = await decoded[name]?.data<'float32'>()
      assert.ok(expected !== undefined && largestDifference(values, expected) <= 1e-6, name)
    }
  })
}

test('a model that is cut short, incomplete or of another kind says so', async t => {
  const folder = temporaryFolder(t)
  const path = await saveTfjs(small(), folder)
  const [shard = ''] = readdirSync(folder).filter(file => file.endsWith('.bin'))
  const json = readFileSync(path, 'utf8')

  truncateSync(join(folder, shard), 100)
  await assert.rejects(readTfjsLayers(path), {
    code: 'KERAS',
    message: /model\.json: weight "conv\/kernel" needs 432 bytes of its shards, which have 100/
  })
  for (const [content, message] of [
    [json.replaceAll(shard, '../absent.bin'), /model\.json: its shard "\.\.\/absent\.bin" is not in its folder/],
    [json.replaceAll(shard, 'absent.bin'), /absent\.bin: no such file/],
    [
      json.replace(/"weightsManifest":.*$/, '"weightsManifest":[]}'),
      /layer "conv" \(Conv2D\): the file has no "kernel"/
    ],
    ['{"modelTopology":{"node":[]}}', /model\.json: a TensorFlow\.js graph model: only layers models/],
    ['{}', /model\.json: no "modelTopology"/],
    ['[]', /model\.json: not a model\.json/],
    ['{', /model\.json: not JSON/],
    [json.replace(/(conv\/kernel".*?"dtype":)"float32"/, '$1"string"'), /weight "conv\/kernel" is string: only float32/]
  ] as const) {
    writeFileSync(path, content)
    await assert.rejects(readTfjsLayers(path), { code: 'KERAS', message })
  }
  await assert.rejects(readTfjsLayers(join(folder, 'absent.json')), {
    code: 'KERAS',
    message: /absent\.json: no such file/
  })
})

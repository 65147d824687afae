import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, test } from 'node:test'
import * as tf from '@tensorflow/tfjs-layers'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import type { Imported } from '../src/import/import.ts'
import { saveTfjs } from '../../keras/test/files.ts'
import { randomImages, randomize } from '../../keras/test/random.ts'
import { largestDifference, predict, useWasm } from '../../keras/test/run.ts'
import { assertVerified, bench, fails } from './imports.ts'

const shape = [16, 16, 3]
const { layers } = tf

before(useWasm)

/** As Teachable Machine saves one: a trunk and a head, each a model of its own, softmax in the second. */
function teachableMachine(): tf.LayersModel {
  const trunk = tf.sequential({
    layers: [layers.conv2d({ filters: 4, kernelSize: 3, inputShape: shape }), layers.globalAveragePooling2d({})]
  })
  const head = tf.sequential({
    layers: [layers.dense({ units: 3, activation: 'softmax', useBias: false, inputShape: [4] })]
  })
  return tf.sequential({ layers: [trunk, head] })
}

function withFront(front: tf.layers.Layer): tf.LayersModel {
  const image = tf.input({ shape })
  return tf.model({ inputs: image, outputs: teachableMachine().apply(front.apply(image)) as tf.SymbolicTensor })
}

/** What the imported ONNX artifact gives for pixels that were prepared as the manifest says. */
async function scoresOf({ model }: Imported, pixels: Float32Array): Promise<Float32Array> {
  const { scale, mean, std, width, height } = model.manifest.input
  const plane = width * height
  const prepared = Float32Array.from(pixels, (_, i) => {
    const channel = Math.floor(i / plane)
    return ((pixels[(i % plane) * 3 + channel] ?? 0) * scale - (mean[channel] ?? 0)) / (std[channel] ?? 1)
  })
  const session = await InferenceSession.create(join(model.dir, 'model.onnx'), { logSeverityLevel: 3 })
  const results = await session.run({
    [session.inputNames[0] ?? '']: new Tensor('float32', prepared, [1, 3, height, width])
  })
  await session.release()
  return Float32Array.from(results[session.outputNames[0] ?? '']?.data as Float32Array)
}

function pixels(): Float32Array {
  return randomImages({ count: 1, height: 16, width: 16, seed: 4 }).data.map(value => Math.round((value + 1) * 127.5))
}

test('E1: softmax in the inner model of a Teachable Machine is seen, and none is added', async t => {
  const { from, modelsDir, importFrom } = bench(t)
  const model = teachableMachine()
  randomize(model, 2)
  await saveTfjs(model, from)
  const imported = await importFrom('model.json', { name: 'tm' })
  assert.equal(imported.settings.activation.source, 'read')
  assert.equal(imported.model.manifest.output.activation, 'softmax')
  const image = pixels()
  const given = await predict(model, { count: 1, height: 16, width: 16, data: image.map(value => value / 127.5 - 1) })
  assert.ok(largestDifference(await scoresOf(imported, image), given) <= 1e-5)
  await assertVerified(modelsDir, 'tm')
})

test('E2: a model with Rescaling inside takes pixels as they are, read from its layers', async t => {
  const { from, importFrom } = bench(t)
  const model = withFront(layers.rescaling({ scale: 1 / 255 }))
  randomize(model, 2)
  await saveTfjs(model, from)
  const imported = await importFrom('model.json', { name: 'rescaled' })
  const { scale, mean, channels } = imported.settings
  assert.deepEqual([scale.value, scale.source, mean.source, channels.source], [1, 'read', 'read', 'read'])
  const image = pixels()
  const given = await predict(model, { count: 1, height: 16, width: 16, data: image })
  assert.ok(largestDifference(await scoresOf(imported, image), given) <= 1e-5)
})

test('statistics of pixels in 0-1 inside a model mean that it takes such, not 0-255', async t => {
  const { from, importFrom } = bench(t)
  await saveTfjs(withFront(layers.rescaling({ scale: 3.5, offset: -1.6 })), from)
  const { settings } = await importFrom('model.json', { name: 'unit' })
  assert.deepEqual([settings.scale.value, settings.scale.source], [1 / 255, 'read'])
})

interface GraphNode {
  name: string
  op: string
  input?: string[]
}

/** A graph model with these nodes after its placeholder, and constants of one value. */
function writeGraph(folder: string, nodes: GraphNode[], constants: Record<string, number> = {}): void {
  const names = Object.keys(constants)
  const dim = (...sizes: number[]) => ({ dim: sizes.map(size => ({ size: String(size) })) })
  const signature = {
    inputs: { image: { name: 'image:0', dtype: 'DT_FLOAT', tensorShape: dim(-1, 16, 16, 3) } },
    outputs: { scores: { name: `${nodes.at(-1)?.name}:0`, dtype: 'DT_FLOAT', tensorShape: dim(-1, 3) } }
  }
  const node = [{ name: 'image', op: 'Placeholder' }, ...names.map(name => ({ name, op: 'Const' })), ...nodes]
  const weights = names.map(name => ({ name, shape: [], dtype: 'float32' }))
  writeFileSync(join(folder, 'weights.bin'), new Uint8Array(Float32Array.from(Object.values(constants)).buffer))
  writeFileSync(
    join(folder, 'model.json'),
    JSON.stringify({
      format: 'graph-model',
      signature,
      modelTopology: { node },
      weightsManifest: [{ paths: ['weights.bin'], weights }]
    })
  )
}

const dense = (name: string, input: string): GraphNode[] => [
  { name: `${name}-product`, op: 'MatMul', input: [input, 'unit'] },
  { name, op: 'Softmax', input: [`${name}-product`] }
]

test('A7: a TensorFlow.js graph with a circle is refused', async t => {
  const { from, importFrom } = bench(t)
  writeGraph(
    from,
    [
      { name: 'a', op: 'Identity', input: ['b'] },
      { name: 'b', op: 'Identity', input: ['a'] }
    ],
    { unit: 1 }
  )
  await assert.rejects(importFrom('model.json', { name: 'circle' }), fails(/its node "[ab]" depends on itself/))
})

test('the ends and the front of a TensorFlow.js graph', async t => {
  const { from, importFrom } = bench(t)
  const front = { name: 'scaled', op: 'Mul', input: ['image', 'per255'] }
  const sum = { name: 'sum', op: 'AddV2', input: ['a', 'b'] }
  const constants = { unit: 1, per255: 1 / 255, half: 0.5 }
  const members = [front, ...dense('a', 'scaled'), ...dense('b', 'scaled'), sum]
  writeGraph(from, [...members, { name: 'mean', op: 'Mul', input: ['sum', 'half'] }], constants)
  const { settings } = await importFrom('model.json', { name: 'mean' })
  assert.deepEqual([settings.activation.value, settings.activation.source], ['softmax', 'read'])
  assert.deepEqual([settings.scale.value, settings.scale.source], [1, 'read'])
  writeGraph(from, members, constants)
  await assert.rejects(importFrom('model.json', { name: 'sum' }), fails(/probabilities that add up to 2/))
})

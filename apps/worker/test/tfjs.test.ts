import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import * as tf from '@tensorflow/tfjs-core'
import type { Artifact, Model } from '@streamsight/models'
import { chooseEngine } from '../src/engines/choose.ts'
import { start, temporaryModels, writeModel } from './support/models.ts'
import { inputOf } from './support/pictures.ts'
import { createRandom } from './support/resnet50.ts'
import { classes, classify, graphModel, layersModel, side, type Files } from './support/tfjs.ts'

const imageValues = 3 * side * side

interface Written {
  format: 'tfjs-layers' | 'tfjs-graph'
  files: Files['files']
  layout?: Artifact['layout']
  scale?: number
  classes?: number
  width?: number
}

async function write(
  t: TestContext,
  { format, files, layout = 'NHWC', scale = 1, classes: count = classes, width = side }: Written
): Promise<Model> {
  return await writeModel(temporaryModels(t), {
    name: 'small',
    input: { ...inputOf({ width: side, scale }), width },
    activation: 'softmax',
    labels: Array.from({ length: count }, (_, i) => `class ${i}`),
    artifact: { format, path: 'model.json', layout },
    files
  })
}

function images(count: number): Float32Array<ArrayBuffer> {
  return new Float32Array(count * imageValues).map(createRandom(count))
}

function toNchw(batch: Float32Array): Float32Array<ArrayBuffer> {
  const pixels = side * side
  return Float32Array.from(
    batch,
    (_, i) =>
      batch[Math.floor(i / imageValues) * imageValues + (i % pixels) * 3 + Math.floor((i % imageValues) / pixels)] ??
      NaN
  )
}

function assertNear(found: Float32Array, wanted: Float32Array): void {
  assert.equal(found.length, wanted.length)
  for (const [i, value] of found.entries())
    assert.ok(Math.abs(value - (wanted[i] ?? NaN)) <= 1e-5, `score ${i}: ${value} instead of ${wanted[i]}`)
}

const models: Array<Omit<Written, 'files'> & { title: string; made: Files }> = [
  { title: 'a layers model in one shard', format: 'tfjs-layers', made: layersModel() },
  {
    title: 'a layers model whose shards cut through its weights',
    format: 'tfjs-layers',
    made: layersModel({ shardBytes: 101 })
  },
  {
    title: 'a layers model quantized to uint8',
    format: 'tfjs-layers',
    made: layersModel({ quantization: 'uint8', shardBytes: 50 })
  },
  {
    title: 'a layers model quantized to uint16',
    format: 'tfjs-layers',
    made: layersModel({ quantization: 'uint16', shardBytes: 100 })
  },
  {
    title: 'a layers model quantized to float16',
    format: 'tfjs-layers',
    made: layersModel({ quantization: 'float16' })
  },
  {
    title: 'a layers model with channels first',
    format: 'tfjs-layers',
    layout: 'NCHW',
    made: layersModel({ layout: 'NCHW' })
  },
  { title: 'a graph model without a signature', format: 'tfjs-graph', made: graphModel() },
  {
    title: 'a graph model with a signature',
    format: 'tfjs-graph',
    made: graphModel({ signature: true, shardBytes: 101 })
  },
  { title: 'a graph model quantized to uint8', format: 'tfjs-graph', made: graphModel({ quantization: 'uint8' }) },
  { title: 'a graph model with control flow', format: 'tfjs-graph', made: graphModel({ controlFlow: true }) }
]

for (const {
  title,
  made: { files, weights },
  ...written
} of models) {
  test(`${title} gives what tfjs-core computes of its weights`, async t => {
    const inference = await start(t, { model: await write(t, { ...written, files }), choice: 'tfjs-wasm', threads: 1 })
    assert.deepEqual(inference.batchSizes, { kind: 'any' })
    for (const count of [1, 3]) {
      const batch = images(count)
      const wanted = await classify(batch, weights)
      assertNear(await inference.infer(written.layout === 'NCHW' ? toNchw(batch) : batch, count), wanted)
    }
  })
}

test('a graph of whole numbers is given rounded pixels', async t => {
  const { files, weights } = graphModel({ input: 'DT_INT32' })
  const { engine } = await chooseEngine({
    model: await write(t, { format: 'tfjs-graph', files }),
    choice: 'tfjs-wasm',
    threads: 1
  })
  const pixels = Float32Array.from({ length: imageValues }, (_, i) => i % 5)
  const scores = await engine.run(
    pixels.map(pixel => pixel + 0.3),
    1
  )
  assertNear(scores, await classify(pixels, weights))
})

test('a model exported for one batch size says so', async t => {
  const { files, weights } = layersModel({ batch: 2 })
  const inference = await start(t, {
    model: await write(t, { format: 'tfjs-layers', files }),
    choice: 'tfjs-wasm',
    threads: 1
  })
  assert.deepEqual(inference.batchSizes, { kind: 'fixed', size: 2 })
  const batch = images(2)
  const wanted = await classify(batch, weights)
  assertNear(await inference.infer(batch, 2), wanted)
})

const refusals: Array<Written & { title: string; reason: RegExp }> = [
  {
    title: 'a layers model with another number of classes',
    format: 'tfjs-layers',
    files: layersModel().files,
    classes: 4,
    reason: /model\.json: output "dense.*" is \[N, 5\], 5 scores an image; the manifest says 4 classes/
  },
  {
    title: 'a graph model with another number of classes',
    format: 'tfjs-graph',
    files: graphModel().files,
    classes: 4,
    reason: /model\.json: gives 5 scores for one image; the manifest says 4 classes/
  },
  {
    title: 'a layers model of another size',
    format: 'tfjs-layers',
    files: layersModel().files,
    width: 16,
    reason: /model\.json: input ".*" is \[N, 8, 8, 3\]; the manifest says 16 × 8 pixels/
  },
  {
    title: 'a graph model of another size',
    format: 'tfjs-graph',
    files: graphModel().files,
    width: 16,
    reason: /model\.json: input "images" is \[N, 8, 8, 3\]; the manifest says 16 × 8 pixels/
  },
  {
    title: 'a graph model in another layout',
    format: 'tfjs-graph',
    files: graphModel().files,
    layout: 'NCHW',
    reason: /model\.json: input "images".*: its field "layout" must be NHWC/
  },
  {
    title: 'a graph model with two outputs',
    format: 'tfjs-graph',
    files: graphModel({ twoOutputs: true }).files,
    reason: /model\.json: outputs are 2 \(probabilities, classes\)/
  },
  {
    title: 'a graph model of encoded images',
    format: 'tfjs-graph',
    files: graphModel({ input: 'DT_STRING' }).files,
    reason: /model\.json: input "images" is string, which is not supported/
  },
  {
    title: 'a layers model whose last shard is too short',
    format: 'tfjs-layers',
    files: truncated(layersModel().files),
    reason: /tfjs-wasm: .{10,}/
  }
]

for (const { title, reason, ...written } of refusals) {
  test(`${title} is refused at load`, async t => {
    await assert.rejects(chooseEngine({ model: await write(t, written), choice: 'tfjs-wasm', threads: 1 }), reason)
  })
}

/** With a manifest that agrees: nothing but the library can find it. */
function truncated(files: Files['files']): Files['files'] {
  return Object.fromEntries(
    Object.entries(files).map(([path, content]) => [
      path,
      path.endsWith('.bin') ? content.subarray(0, content.length - 8) : content
    ])
  )
}

const steady = [
  { title: 'a layers model', format: 'tfjs-layers', files: layersModel().files },
  { title: 'a graph model', format: 'tfjs-graph', files: graphModel({ signature: true, forOne: true }).files },
  {
    title: 'a graph model with control flow',
    format: 'tfjs-graph',
    files: graphModel({ controlFlow: true, forOne: true }).files
  }
] as const
for (const { title, ...written } of steady) {
  test(`${title} leaves no tensor behind in 1,000 batches, nor in those that fail`, async t => {
    const { engine } = await chooseEngine({ model: await write(t, written), choice: 'tfjs-wasm', threads: 1 })
    const before = tf.memory().numTensors
    const one = images(1)
    for (let i = 0; i < 1_000; i++) await engine.run(one, 1)
    assert.equal(tf.memory().numTensors, before)
    for (let i = 0; i < 20; i++) await assert.rejects(engine.run(one, 2), 'one image called two')
    // The graphs fail at their end, when everything before has been computed.
    const two = images(2)
    if (written.format === 'tfjs-graph') for (let i = 0; i < 20; i++) await assert.rejects(engine.run(two, 2))
    assert.equal(tf.memory().numTensors, before)
    await engine.close()
    assert.ok(tf.memory().numTensors < before, 'the weights are given back')
  })
}

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { Input, Model } from '@streamsight/models'
import { openOnnx } from '../src/engines/onnx.ts'
import { chooseEngine } from '../src/engines/choose.ts'
import {
  classLabels,
  classifierOnnx,
  classify,
  imageValues,
  side,
  toNhwc,
  type ClassifierOptions
} from './support/classifier.ts'
import { start, temporaryModels, writeModel, type ModelFiles } from './support/models.ts'
import { createOnnxGraph } from './support/onnx.ts'
import { inputOf } from './support/pictures.ts'
import { createRandom, resnet50Onnx } from './support/resnet50.ts'

interface Written extends ClassifierOptions {
  bytes?: Uint8Array
  pixels?: Partial<Input>
  activation?: ModelFiles['activation']
  labels?: string[]
}

/** A model directory with one ONNX file. */
async function write(
  t: TestContext,
  { bytes, pixels = {}, activation = 'softmax', labels = classLabels, ...options }: Written = {}
): Promise<Model> {
  return await writeModel(temporaryModels(t), {
    name: 'small',
    input: inputOf({ width: side, ...pixels }),
    activation,
    labels,
    artifact: { format: 'onnx', path: 'model.onnx', layout: options.layout ?? 'NCHW' },
    files: { 'model.onnx': bytes ?? classifierOnnx(options) }
  })
}

const choose = (model: Model) => chooseEngine({ model, choice: 'onnx-cpu', threads: 1 })

/** Why the model can't be loaded. */
async function refusal(t: TestContext, written: Written): Promise<string> {
  const outcome = await choose(await write(t, written)).catch((error: Error) => error)
  if (outcome instanceof Error) return outcome.message
  await outcome.engine.close()
  throw new assert.AssertionError({ message: 'it was loaded' })
}

/** Images in NCHW with values in [−1, 1). */
function images(count: number): Float32Array<ArrayBuffer> {
  return new Float32Array(count * imageValues).map(createRandom(count))
}

function assertNear(found: Float32Array, wanted: Float32Array, within: number): void {
  assert.equal(found.length, wanted.length)
  for (const [i, value] of found.entries())
    assert.ok(Math.abs(value - (wanted[i] ?? NaN)) <= within, `score ${i}: ${value} instead of ${wanted[i]}`)
}

/** Half precision has 11 bits; int8 activations 1/127. */
const kinds = [
  { title: 'float32 in NCHW', options: {}, within: 1e-6 },
  { title: 'float32 in NHWC', options: { layout: 'NHWC' }, within: 1e-6 },
  { title: 'float32 with logits', options: { end: 'logits' }, within: 1e-5 },
  { title: 'float16 in NCHW', options: { input: 'float16' }, within: 2e-3 },
  { title: 'float16 in NHWC', options: { input: 'float16', layout: 'NHWC' }, within: 2e-3 },
  { title: 'int8', options: { quantized: true }, within: 0.02 }
] satisfies Array<{ title: string; options: ClassifierOptions; within: number }>

for (const { title, options, within } of kinds) {
  test(`a model of ${title} gives what it computes by hand, through the engine’s thread`, async t => {
    const { end = 'Softmax', layout = 'NCHW' }: ClassifierOptions = options
    const model = await write(t, { ...options, activation: end === 'logits' ? 'logits' : 'softmax' })
    const inference = await start(t, { model, choice: 'onnx-cpu', threads: 1 })
    assert.deepEqual([inference.layout, inference.batchSizes], [layout, { kind: 'any' }])
    for (const count of [1, 3]) {
      const batch = images(count)
      const wanted = classify(batch, { end })
      assertNear(await inference.infer(layout === 'NHWC' ? toNhwc(batch) : batch, count), wanted, within)
    }
  })
}

test('a model of bytes is given the pixels, rounded and kept to 0–255', async t => {
  const model = await write(t, { input: 'uint8', pixels: { scale: 1 }, end: 'logits', activation: 'logits' })
  const { engine } = await choose(model)
  t.after(() => engine.close())
  const fill = (value: number) => new Float32Array(imageValues).fill(value)
  for (const [given, byte] of [
    [0, 0],
    [7, 7],
    [99.6, 100],
    [-3, 0],
    [300, 255]
  ] as const) {
    assertNear(await engine.run(fill(given), 1), classify(fill(byte), { end: 'logits' }), 1e-3)
  }
})

for (const size of [1, 4]) {
  test(`a model exported for a batch of ${size} says so and is run at exactly that`, async t => {
    const inference = await start(t, { model: await write(t, { batch: size }), choice: 'onnx-cpu', threads: 1 })
    assert.deepEqual(inference.batchSizes, { kind: 'fixed', size })
    const batch = images(size)
    const wanted = classify(batch)
    assertNear(await inference.infer(batch, size), wanted, 1e-6)
    await assert.rejects(inference.infer(images(size + 1), size + 1))
  })
}

test('what does not fit the manifest is refused at load with the file and both numbers', async t => {
  assert.equal(
    await refusal(t, { labels: [...classLabels, 'grey'] }),
    'model.onnx: output "scores" is [N, 5], 5 scores an image; the manifest says 6 classes (field "output.classes")'
  )
  assert.match(
    await refusal(t, { pixels: { width: 8 } }),
    /^model\.onnx: input "pixels" is \[N, 3, 4, 4\]; the manifest says 8 × 8 pixels in NCHW/
  )
  assert.match(
    await refusal(t, { also: { inputs: [{ name: 'phase', type: 'float32', dims: [1] }] } }),
    /^model\.onnx: inputs are 2 \(pixels, phase\)/
  )
  assert.match(
    await refusal(t, { also: { outputs: [{ name: 'features', type: 'float32', dims: ['N', 5] }] } }),
    /^model\.onnx: outputs are 2 \(scores, features\)/
  )
})

test('a number of classes that the file does not declare shows when it runs, still at load', async t => {
  const graph = createOnnxGraph()
  graph.node('Flatten', ['pixels'], {}, 'scores')
  const bytes = graph.toBytes({
    inputs: [{ name: 'pixels', type: 'float32', dims: ['N', 'C', 'H', 'W'] }],
    outputs: [{ name: 'scores', type: 'float32', dims: ['N', 'classes'] }]
  })
  assert.equal(
    await refusal(t, { bytes }),
    'model.onnx: gives 48 scores for one image; the manifest says 5 classes (field "output.classes")'
  )
})

test('a model of a type that can’t be fed is refused', async t => {
  const graph = createOnnxGraph()
  graph.node('Flatten', ['pixels'], {}, 'scores')
  const bytes = graph.toBytes({
    inputs: [{ name: 'pixels', type: 'float64', dims: ['N', 3, side, side] }],
    outputs: [{ name: 'scores', type: 'float64', dims: ['N', imageValues] }]
  })
  assert.match(
    await refusal(t, { bytes }),
    /^model\.onnx: input "pixels" is float64, which is not supported: export the model with float32 or float16 or uint8/
  )
})

test('logits that the manifest calls probabilities are refused with the field to change', async t => {
  assert.match(
    await refusal(t, { end: 'logits' }),
    /onnx-cpu: model\.onnx: gives scores that are no probabilities.*"output\.activation".*"logits"/
  )
})

test('a model that gives NaN is refused', async t => {
  assert.match(
    await refusal(t, { end: 'Log', activation: 'logits', pixels: { mean: [1, 1, 1] } }),
    /model\.onnx: gives scores that are not numbers/
  )
})

test('a file that is no model is refused with what the library says', async t => {
  assert.match(await refusal(t, { bytes: new TextEncoder().encode('no model') }), /onnx-cpu: .{10,}/)
})

test('a model as large as ResNet-50 loads and gives probabilities', async t => {
  const model = await write(t, {
    bytes: resnet50Onnx(),
    pixels: { width: 224, height: 224 },
    labels: Array.from({ length: 1_000 }, (_, i) => `class ${i}`)
  })
  const engine = await openOnnx({
    model,
    artifact: model.manifest.artifacts[0] ?? assert.fail(),
    name: 'onnx-cpu',
    threads: 2
  })
  t.after(() => engine.close())
  const scores = await engine.run(new Float32Array(3 * 224 * 224).map(createRandom(7)), 1)
  assert.equal(scores.length, 1_000)
  assert.ok(Math.abs(scores.reduce((a, b) => a + b) - 1) < 1e-4)
  assert.ok(
    new Set(scores).size > 900 && scores.every(score => score > 0 && score < 0.5),
    'no class is sure, none is like another'
  )
})

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { pathToFileURL } from 'node:url'
import type { Model } from '@streamsight/models'
import { startInference, type Inference } from '../dist/engines/inference.js'
import { classLabels, classifierOnnx, classify, imageValues, side } from './support/classifier.ts'
import { temporaryModels, writeModel } from './support/models.ts'
import { createMortalThread, deadly } from './support/mortal-thread.ts'
import { inputOf } from './support/pictures.ts'

const images = (count: number, first = 0.5) => new Float32Array(count * imageValues).fill(0.25).fill(first, 0, 1)

async function write(t: TestContext): Promise<{ model: Model; dir: string }> {
  const dir = temporaryModels(t)
  const model = await writeModel(dir, {
    name: 'small',
    input: inputOf({ width: side }),
    activation: 'softmax',
    labels: classLabels,
    artifact: { format: 'onnx', path: 'model.onnx', layout: 'NCHW' },
    files: { 'model.onnx': classifierOnnx() }
  })
  return { model, dir }
}

/** An engine whose thread ends at the deadly image. */
async function startMortal(t: TestContext): Promise<Inference & { starts: () => number }> {
  const { model, dir } = await write(t)
  const { script, starts } = createMortalThread(dir, imageValues)
  const inference = await startInference({ model, choice: 'onnx-cpu', threads: 1 }, { script })
  t.after(() => inference.close())
  return { ...inference, starts }
}

async function assertWorks(inference: Inference): Promise<void> {
  const scores = await inference.infer(images(1), 1)
  for (const [i, wanted] of classify(images(1)).entries()) assert.ok(Math.abs((scores[i] ?? NaN) - wanted) < 1e-6)
}

test('a thread that ends fails its batch, and the next one gets a new thread', async t => {
  const inference = await startMortal(t)
  await assertWorks(inference)
  await assert.rejects(inference.infer(images(2, deadly), 2), /thread ended with code 7/)
  await assertWorks(inference)
  assert.equal(inference.starts(), 2)
})

test('a thread that ends at each batch is started once for each, and no more', async t => {
  const inference = await startMortal(t)
  for (let i = 0; i < 3; i++) await assert.rejects(inference.infer(images(1, deadly), 1), /thread ended/)
  assert.equal(inference.starts(), 3)
})

test('batches that come while a new thread starts share it', async t => {
  const inference = await startMortal(t)
  await assert.rejects(inference.infer(images(1, deadly), 1))
  await Promise.all([assertWorks(inference), assertWorks(inference), assertWorks(inference)])
  assert.equal(inference.starts(), 2)
})

test('what waits in a thread that ends fails too, and nothing hangs', async t => {
  const inference = await startMortal(t)
  const outcomes = await Promise.allSettled([inference.infer(images(1, deadly), 1), inference.infer(images(1), 1)])
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ['rejected', 'rejected']
  )
})

test('an engine closed while its new thread starts leaves none behind', async t => {
  const inference = await startMortal(t)
  await assert.rejects(inference.infer(images(1, deadly), 1))
  const late = assert.rejects(inference.infer(images(1), 1))
  await inference.close()
  await late
})

test('a thread that ends before it is ready says so', async t => {
  const { model, dir } = await write(t)
  const script = join(dir, 'end.mjs')
  for (const [text, reason] of [
    ['process.exit(3)', /thread ended with code 3/],
    ['throw new Error("no memory")', /thread failed: Error: no memory/]
  ] as const) {
    writeFileSync(script, text)
    await assert.rejects(
      startInference({ model, choice: 'onnx-cpu', threads: 1 }, { script: pathToFileURL(script) }),
      reason
    )
  }
})

test('the memory of a batch comes back from the engine and is used again, also for a smaller one', async t => {
  const inference = await startMortal(t)
  const batch = inference.allocate(2 * imageValues)
  await inference.infer(batch.fill(0.75), 2)
  const smaller = inference.allocate(imageValues)
  assert.deepEqual([smaller.length, smaller[0], smaller.buffer.byteLength], [imageValues, 0.75, 2 * imageValues * 4])
  const scores = await inference.infer(smaller.fill(0.25).fill(0.5, 0, 1), 1)
  for (const [i, wanted] of classify(images(1)).entries()) assert.ok(Math.abs((scores[i] ?? NaN) - wanted) < 1e-6)
  assert.equal(inference.allocate(3 * imageValues)[0], 0, 'a larger one is new')

  const twice = inference.allocate(imageValues).fill(0.25)
  await inference.infer(twice, 1)
  await inference.infer(twice, 1)
  assert.notEqual(
    inference.allocate(imageValues).buffer,
    inference.allocate(imageValues).buffer,
    'what was sent twice is not given out twice'
  )
})

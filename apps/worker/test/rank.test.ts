import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { rank } from '../src/rank.ts'

const labels = ['cat', 'dog', 'ship'].map(label => ({ label }))
const sum = (predictions: Array<{ probability: number }>) =>
  predictions.reduce((total, { probability }) => total + probability, 0)

test('probabilities pass through, best first', () => {
  assert.deepEqual(rank(Float32Array.of(0.375, 0.5, 0.125), labels, { activation: 'softmax', topK: 3 }), [
    { label: 'dog', probability: 0.5, index: 1 },
    { label: 'cat', probability: 0.375, index: 0 },
    { label: 'ship', probability: 0.125, index: 2 }
  ])
})

test('probabilities that were rounded to bytes, or just below 0, are such as sum to 1', () => {
  const predictions = rank(Float32Array.of(0.5, 0.46875, -0.001), labels, { activation: 'softmax', topK: 3 })
  assert.deepEqual(
    predictions.map(({ label }) => label),
    ['cat', 'dog', 'ship']
  )
  assert.ok(Math.abs(sum(predictions) - 1) < 1e-12)
  assert.equal(predictions[2]?.probability, 0)
})

test('a few of many are what sorting all would give', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 20 }), { minLength: 1, maxLength: 60 }),
      fc.integer({ min: 1, max: 70 }),
      (scores, topK) => {
        const sorted = scores.map((score, index) => ({ score, label: String(index) })).sort((a, b) => b.score - a.score)
        const predictions = rank(Float32Array.from(scores), [], { activation: 'logits', topK })
        assert.deepEqual(
          predictions.map(({ label }) => label),
          sorted.slice(0, topK).map(({ label }) => label)
        )
      }
    )
  )
})

test('logits become probabilities that sum to 1', () => {
  // e⁰ : e^ln2 : e^ln5 = 1 : 2 : 5
  const predictions = rank(Float32Array.of(0, Math.log(2), Math.log(5)), labels, { activation: 'logits', topK: 3 })
  assert.deepEqual(
    predictions.map(({ label }) => label),
    ['ship', 'dog', 'cat']
  )
  for (const [i, wanted] of [5 / 8, 2 / 8, 1 / 8].entries())
    assert.ok(Math.abs((predictions[i]?.probability ?? NaN) - wanted) < 1e-7)
  assert.ok(Math.abs(sum(predictions) - 1) < 1e-12)
})

test('logits so large that their exponentials overflow are probabilities all the same', () => {
  const [first, second, third] = rank(Float32Array.of(1_000, 1_000 + Math.log(3), -1_000), labels, {
    activation: 'logits',
    topK: 3
  })
  assert.ok(Math.abs((first?.probability ?? NaN) - 0.75) < 1e-4)
  assert.ok(Math.abs((second?.probability ?? NaN) - 0.25) < 1e-4)
  assert.equal(third?.probability, 0)
})

test('logits far below 0 are probabilities all the same', () => {
  const predictions = rank(Float32Array.of(-5_000, -5_000, -5_000), labels, { activation: 'logits', topK: 3 })
  for (const { probability } of predictions) assert.ok(Math.abs(probability - 1 / 3) < 1e-12)
})

test('every probability lies in 0–1 and they never rise down the list', () => {
  const scores = Float32Array.from({ length: 1_000 }, (_, i) => Math.sin(i * i) * 20)
  const predictions = rank(scores, labels, { activation: 'logits', topK: 1_000 })
  assert.ok(predictions.every(({ probability }) => probability >= 0 && probability <= 1))
  assert.ok(predictions.every(({ probability }, i) => probability <= (predictions[i - 1]?.probability ?? 1)))
  assert.ok(Math.abs(sum(predictions) - 1) < 1e-9)
})

test('topK cuts the list, and more than there are classes gives all', () => {
  const scores = Float32Array.of(0.2, 0.5, 0.3)
  assert.deepEqual(
    rank(scores, labels, { activation: 'softmax', topK: 1 }).map(({ label }) => label),
    ['dog']
  )
  assert.equal(rank(scores, labels, { activation: 'softmax', topK: 100 }).length, 3)
})

test('topK of logits does not change the probabilities', () => {
  const scores = Float32Array.of(1, 2, 3)
  const options = { activation: 'logits' as const }
  assert.deepEqual(
    rank(scores, labels, { ...options, topK: 2 }),
    rank(scores, labels, { ...options, topK: 3 }).slice(0, 2)
  )
})

test('equal scores keep the order of the classes', () => {
  assert.deepEqual(
    rank(Float32Array.of(0.25, 0.5, 0.25), labels, { activation: 'softmax', topK: 3 }).map(({ label }) => label),
    ['dog', 'cat', 'ship']
  )
})

test('a class without a label has its index for one', () => {
  assert.deepEqual(rank(Float32Array.of(0, 0, 0, 1), labels, { activation: 'softmax', topK: 1 }), [
    { label: '3', probability: 1, index: 3 }
  ])
})

test('a view into the scores of a batch is ranked as if it were alone, and left as it was', () => {
  const batch = Float32Array.of(9, 9, 9, 0.2, 0.5, 0.3, 9, 9, 9)
  assert.equal(rank(batch.subarray(3, 6), labels, { activation: 'softmax', topK: 1 })[0]?.label, 'dog')
  assert.deepEqual(Array.from(batch.subarray(0, 4)), [9, 9, 9, Math.fround(0.2)])
})

test('classes of the same label stay apart by index and id, and a class without an id has none', () => {
  const cranes = [{ label: 'crane', id: 'n02012849' }, { label: 'crane', id: 'n03126707' }, { label: 'dog' }]
  assert.deepEqual(rank(Float32Array.of(0.25, 0.625, 0.125), cranes, { activation: 'softmax', topK: 3 }), [
    { label: 'crane', probability: 0.625, index: 1, id: 'n03126707' },
    { label: 'crane', probability: 0.25, index: 0, id: 'n02012849' },
    { label: 'dog', probability: 0.125, index: 2 }
  ])
})

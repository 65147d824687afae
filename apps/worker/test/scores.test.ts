import assert from 'node:assert/strict'
import { test } from 'node:test'
import { faultOf } from '../src/scores.ts'

test('probabilities and logits as they are have no fault', () => {
  assert.equal(faultOf(Float32Array.of(0.2, 0.5, 0.3), 'softmax'), undefined)
  assert.equal(faultOf(Float32Array.of(-1_000, 12, 3), 'logits'), undefined)
  assert.equal(faultOf(Float32Array.of(-Infinity, 1, 2), 'logits'), undefined, 'a class that can’t be')
})

test('probabilities that a quantized model rounded are some', () => {
  assert.equal(faultOf(Float32Array.of(0.95, 0, -0.004), 'softmax'), undefined)
})

test('scores that are not numbers, or have no softmax, are a fault', () => {
  for (const activation of ['softmax', 'logits'] as const) {
    for (const score of [NaN, Infinity])
      assert.match(faultOf(Float32Array.of(0.5, score, 0.5), activation) ?? '', /not numbers/)
    assert.match(faultOf(Float32Array.of(-Infinity, -Infinity), activation) ?? '', /infinite/)
  }
})

test('logits called probabilities are a fault that names the field to change', () => {
  assert.match(
    faultOf(Float32Array.of(3, -1, 2), 'softmax') ?? '',
    /sum to 4\.00 .*least is -1\.00.*field "output\.activation".*"logits"/
  )
  assert.match(faultOf(Float32Array.of(0.9, 0.9, 0.9), 'softmax') ?? '', /sum to 2\.70/)
  assert.match(faultOf(Float32Array.of(-2, 1.5, 1.5), 'softmax') ?? '', /least is -2\.00/, 'sum to 1 by chance')
})

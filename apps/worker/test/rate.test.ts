import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRate } from '../src/batching/rate.ts'

/** A worker whose engine is fitted to do 100 images a second, in batches of 10 that take 100 ms. */
function createTimedRate() {
  let nowMs = 0
  const rate = createRate({ latency: { aMs: 0, bMs: 10 }, maxBatch: 10 }, () => nowMs)
  return {
    rate,
    /** An interval in which `images` finished. */
    interval(ms: number, images: number, { waited = true } = {}): number {
      for (let i = 0; i < images; i++) rate.finished()
      if (waited) rate.waited()
      nowMs += ms
      return rate.update()
    }
  }
}

test('until something was measured the rate is what warm-up fitted', () => {
  const { rate, interval } = createTimedRate()
  assert.equal(rate.update(), 100)
  assert.equal(interval(1_000, 5, { waited: false }), 100)
})

test('batches that take ten times what was fitted make it a tenth, also while nothing waits', () => {
  const { rate, interval } = createTimedRate()
  for (let i = 0; i < 20; i++) rate.ran(5, 500)
  assert.ok(Math.abs(interval(1_000, 5, { waited: false }) - 10) < 0.01)
  for (let i = 0; i < 20; i++) rate.ran(1, 10)
  assert.ok(Math.abs(interval(1_000, 5, { waited: false }) - 100) < 0.1)
})

test('what was finished while work waited counts if it is less than what the engine could do', () => {
  const { interval } = createTimedRate()
  assert.equal(interval(1_000, 1), 100, 'work began to wait in this one')
  assert.equal(interval(1_000, 40), 40)
  assert.equal(interval(2_000, 120), 48)
  for (let i = 0; i < 40; i++) interval(1_000, 400)
  assert.equal(interval(1_000, 400), 100)
})

test('a low estimate is forgotten as soon as nothing waits, or it would keep away the work that could correct it', () => {
  const { interval } = createTimedRate()
  interval(1_000, 1)
  assert.equal(interval(1_000, 1), 1)
  assert.equal(interval(1_000, 1, { waited: false }), 100)
})

test('an interval in which nothing finished, or of no length, says nothing', () => {
  const { interval } = createTimedRate()
  interval(1_000, 50)
  assert.equal(interval(1_000, 0), 100)
  assert.equal(interval(0, 10), 100)
})

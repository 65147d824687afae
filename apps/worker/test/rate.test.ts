import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRate } from '../src/rate.ts'

function createTimedRate (fitted: number) {
  let nowMs = 0
  const rate = createRate(fitted, () => nowMs)
  return {
    rate,
    /** An interval in which `images` finished. */
    interval (ms: number, images: number, { waited = true } = {}): number {
      for (let i = 0; i < images; i++) rate.finished()
      if (waited) rate.waited()
      nowMs += ms
      return rate.update()
    }
  }
}

test('until something was measured the rate is what warm-up fitted', () => {
  const { rate, interval } = createTimedRate(100)
  assert.equal(rate.update(), 100)
  assert.equal(interval(1_000, 5, { waited: false }), 100)
})

test('an interval in which work waited moves the rate three tenths of the way', () => {
  const { interval } = createTimedRate(100)
  assert.equal(interval(1_000, 200), 130)
  assert.ok(Math.abs(interval(2_000, 60) - (130 + 0.3 * (30 - 130))) < 1e-9)
})

test('the rate nears what is measured', () => {
  const { interval } = createTimedRate(100)
  for (let i = 0; i < 30; i++) interval(1_000, 40)
  assert.ok(Math.abs(interval(1_000, 40) - 40) < 0.01)
})

test('an idle worker keeps its rate, and its few images do not leak into the next interval', () => {
  const { interval } = createTimedRate(100)
  assert.equal(interval(1_000, 7, { waited: false }), 100)
  assert.equal(interval(1_000, 100), 100)
})

test('having waited once counts for one interval only', () => {
  const { interval } = createTimedRate(100)
  interval(1_000, 100)
  assert.equal(interval(1_000, 1, { waited: false }), 100)
})

test('two updates in the same instant divide by nothing', () => {
  const { interval } = createTimedRate(100)
  assert.equal(interval(0, 10), 100)
})

test('a worker that hangs while work waits is measured at nothing', () => {
  const { interval } = createTimedRate(100)
  assert.equal(interval(1_000, 0), 70)
})

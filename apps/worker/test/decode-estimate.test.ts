import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createDecodeEstimate } from '../src/batching/decode-estimate.ts'

function createTimed() {
  let nowMs = 0
  return {
    estimate: createDecodeEstimate(() => nowMs),
    pass: (ms: number) => {
      nowMs += ms
    }
  }
}

test('an image is likely to be ready when as much time has passed as the ones before took', () => {
  const { estimate, pass } = createTimed()
  estimate.begin('1-0')
  pass(8)
  assert.equal(estimate.end('1-0'), 8)
  estimate.begin('2-0')
  pass(3)
  estimate.begin('3-0')
  assert.deepEqual(estimate.remainingMs(), [5, 8])
  pass(6)
  assert.deepEqual(estimate.remainingMs(), [0, 2], 'one takes longer than usual')
  estimate.end('2-0')
  estimate.end('3-0')
  assert.deepEqual(estimate.remainingMs(), [])
})

test('while nothing was decoded yet nothing can be expected', () => {
  const { estimate } = createTimed()
  estimate.begin('1-0')
  assert.deepEqual(estimate.remainingMs(), [])
})

test('what is usual follows what is measured', () => {
  const { estimate, pass } = createTimed()
  for (const ms of [100, ...Array.from({ length: 30 }, () => 5)]) {
    estimate.begin('1-0')
    pass(ms)
    estimate.end('1-0')
  }
  estimate.begin('2-0')
  const [remainingMs = NaN] = estimate.remainingMs()
  assert.ok(Math.abs(remainingMs - 5) < 0.5, `${remainingMs} ms`)
})

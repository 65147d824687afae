import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createDecodeEstimate } from '../src/batching/decode-estimate.ts'

function createTimed() {
  let nowMs = 0
  return {
    decoding: createDecodeEstimate(() => nowMs),
    pass: (ms: number) => {
      nowMs += ms
    }
  }
}

test('an image is likely to be ready when as much time has passed as the ones before took', () => {
  const { decoding, pass } = createTimed()
  decoding.begin('1-0')
  pass(8)
  assert.equal(decoding.end('1-0'), 8)
  decoding.begin('2-0')
  pass(3)
  decoding.begin('3-0')
  assert.deepEqual(decoding.remainingMs(), [5, 8])
  pass(6)
  assert.deepEqual(decoding.remainingMs(), [0, 2], 'one takes longer than usual')
  decoding.end('2-0')
  decoding.end('3-0')
  assert.deepEqual(decoding.remainingMs(), [])
})

test('while nothing was decoded yet nothing can be expected', () => {
  const { decoding } = createTimed()
  decoding.begin('1-0')
  assert.deepEqual(decoding.remainingMs(), [])
})

test('what is usual follows what is measured', () => {
  const { decoding, pass } = createTimed()
  for (const ms of [100, ...Array.from({ length: 30 }, () => 5)]) {
    decoding.begin('1-0')
    pass(ms)
    decoding.end('1-0')
  }
  decoding.begin('2-0')
  const [remainingMs = NaN] = decoding.remainingMs()
  assert.ok(Math.abs(remainingMs - 5) < 0.5, `${remainingMs} ms`)
})

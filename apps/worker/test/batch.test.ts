import assert from 'node:assert/strict'
import { test } from 'node:test'
import { batchMs, chooseBatchLimit, fitLatency, imagesPerSecond, warmUpSizes, type Latency } from '../src/batch.ts'

const measure = ({ aMs, bMs }: Latency, sizes: number[], noiseMs = 0) => sizes.map((size, i) => ({ size, ms: aMs + bMs * size + (i % 2 === 0 ? noiseMs : -noiseMs) }))

function assertNear (found: Latency, wanted: Latency, within: number): void {
  assert.ok(Math.abs(found.aMs - wanted.aMs) <= within && Math.abs(found.bMs - wanted.bMs) <= within, `${JSON.stringify(found)} instead of ${JSON.stringify(wanted)}`)
}

test('warm-up doubles the batch size up to the largest, which it always includes', () => {
  assert.deepEqual(warmUpSizes(1), [1])
  assert.deepEqual(warmUpSizes(2), [1, 2])
  assert.deepEqual(warmUpSizes(32), [1, 2, 4, 8, 16, 32])
  assert.deepEqual(warmUpSizes(33), [1, 2, 4, 8, 16, 32, 33])
  assert.deepEqual(warmUpSizes(20), [1, 2, 4, 8, 16, 20])
})

test('a line is found exactly', () => {
  for (const line of [{ aMs: 4, bMs: 0.5 }, { aMs: 0, bMs: 40 }, { aMs: 0, bMs: 1.3 }, { aMs: 12, bMs: 0 }]) {
    assertNear(fitLatency(measure(line, warmUpSizes(32))), line, 1e-9)
  }
})

test('a line is found through noise of a tenth', () => {
  const line = { aMs: 4, bMs: 0.5 }
  assertNear(fitLatency(measure(line, warmUpSizes(64), 0.4)), line, 0.4)
})

test('one outlier moves the line but makes neither part negative', () => {
  const slowStart = fitLatency([{ size: 1, ms: 90 }, { size: 2, ms: 5 }, { size: 4, ms: 6 }, { size: 8, ms: 8 }])
  assert.ok(slowStart.aMs > 0)
  assert.equal(slowStart.bMs, 0)
  const slowEnd = fitLatency([{ size: 1, ms: 1 }, { size: 2, ms: 2 }, { size: 4, ms: 4 }, { size: 8, ms: 80 }])
  assert.equal(slowEnd.aMs, 0)
  assert.ok(slowEnd.bMs > 1)
})

test('a single measurement is all slope', () => {
  assert.deepEqual(fitLatency([{ size: 1, ms: 25 }]), { aMs: 0, bMs: 25 })
})

test('the curve says how long a batch takes and how many images a second that is', () => {
  assert.equal(batchMs({ aMs: 4, bMs: 0.5 }, 8), 8)
  assert.equal(imagesPerSecond({ aMs: 4, bMs: 0.5 }, 8), 1_000)
  assert.ok(Number.isFinite(imagesPerSecond({ aMs: 0, bMs: 0 }, 8)))
})

test('on a GPU, where the fixed part dominates, the limit is high', () => {
  const gpu = { aMs: 4, bMs: 0.5 }
  assert.equal(chooseBatchLimit(gpu, warmUpSizes(32)), 32)
  // Images a millisecond: 64 / 36 = 1.78, 128 / 68 = 1.88, 256 / 132 = 1.94. 95 % of the last is 1.84.
  assert.equal(chooseBatchLimit(gpu, warmUpSizes(256)), 128)
})

test('on a CPU that takes 40 ms an image nobody waits for another one', () => {
  assert.equal(chooseBatchLimit({ aMs: 0, bMs: 40 }, warmUpSizes(32)), 1)
})

test('where an image takes about a millisecond, batches of up to 20 ms spare hops between threads', () => {
  // 8 · 1.3 = 10.4 ms; 16 · 1.3 = 20.8 ms is too long.
  assert.equal(chooseBatchLimit({ aMs: 0, bMs: 1.3 }, warmUpSizes(32)), 8)
})

test('the limit is always one of the sizes', () => {
  const sizes = warmUpSizes(20)
  for (const aMs of [0, 1, 10, 100]) {
    for (const bMs of [0, 0.01, 1, 100]) assert.ok(sizes.includes(chooseBatchLimit({ aMs, bMs }, sizes)), `${aMs} + ${bMs}·n`)
  }
})

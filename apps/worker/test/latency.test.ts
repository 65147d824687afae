import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import {
  batchMs,
  chooseBatchLimit,
  fitLatency,
  imagesPerSecond,
  runSize,
  waitingPays,
  warmUpSizes,
  type Latency
} from '../src/batching/latency.ts'

const measure = ({ aMs, bMs }: Latency, sizes: number[], noiseMs = 0) =>
  sizes.map((size, i) => ({ size, ms: aMs + bMs * size + (i % 2 === 0 ? noiseMs : -noiseMs) }))

function assertNear(found: Latency, wanted: Latency, within: number): void {
  assert.ok(
    Math.abs(found.aMs - wanted.aMs) <= within && Math.abs(found.bMs - wanted.bMs) <= within,
    `${JSON.stringify(found)} instead of ${JSON.stringify(wanted)}`
  )
}

test('warm-up doubles the batch size up to the largest, which it always includes', () => {
  assert.deepEqual(warmUpSizes(1), [1])
  assert.deepEqual(warmUpSizes(2), [1, 2])
  assert.deepEqual(warmUpSizes(32), [1, 2, 4, 8, 16, 32])
  assert.deepEqual(warmUpSizes(33), [1, 2, 4, 8, 16, 32, 33])
  assert.deepEqual(warmUpSizes(20), [1, 2, 4, 8, 16, 20])
})

test('a line is found exactly', () => {
  for (const line of [
    { aMs: 4, bMs: 0.5 },
    { aMs: 0, bMs: 40 },
    { aMs: 0, bMs: 1.3 },
    { aMs: 12, bMs: 0 }
  ]) {
    assertNear(fitLatency(measure(line, warmUpSizes(32))), line, 1e-9)
  }
})

test('a line is found through noise of a tenth', () => {
  const line = { aMs: 4, bMs: 0.5 }
  assertNear(fitLatency(measure(line, warmUpSizes(64), 0.4)), line, 0.4)
})

test('one outlier, wherever it is, leaves the line where it was', () => {
  const line = { aMs: 4, bMs: 0.5 }
  const sizes = warmUpSizes(32)
  for (const disturbed of sizes) {
    const measured = measure(line, sizes).map(({ size, ms }) => ({ size, ms: size === disturbed ? 10 * ms : ms }))
    assertNear(fitLatency(measured), line, 0.1)
  }
})

test('whatever was measured, neither part is negative', () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0.01, max: 1e4, noNaN: true }), { minLength: 1, maxLength: 9 }), times => {
      const { aMs, bMs } = fitLatency(times.map((ms, i) => ({ size: 2 ** i, ms })))
      assert.ok(aMs >= 0 && bMs >= 0 && Number.isFinite(aMs + bMs))
    })
  )
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

test('on a CPU up to 8 run together, but nobody waits for more than a second for others', () => {
  assert.equal(chooseBatchLimit({ aMs: 0, bMs: 40 }, warmUpSizes(32)), 8)
  assert.equal(chooseBatchLimit({ aMs: 0, bMs: 200 }, warmUpSizes(32)), 4)
  assert.equal(chooseBatchLimit({ aMs: 0, bMs: 1_200 }, warmUpSizes(32)), 1)
})

test('where an image takes about a millisecond, batches of up to 20 ms spare hops between threads', () => {
  // 16 · 1.2 = 19.2 ms; 32 · 1.2 = 38.4 ms is too long.
  assert.equal(chooseBatchLimit({ aMs: 0, bMs: 1.2 }, warmUpSizes(32)), 16)
})

test('the limit is always one of the sizes', () => {
  const sizes = warmUpSizes(20)
  for (const aMs of [0, 1, 10, 100]) {
    for (const bMs of [0, 0.01, 1, 100])
      assert.ok(sizes.includes(chooseBatchLimit({ aMs, bMs }, sizes)), `${aMs} + ${bMs}·n`)
  }
})

test('a batch runs at its own size, or padded to the next of those that were compiled', () => {
  assert.equal(runSize([], 5), 5)
  assert.deepEqual(
    [1, 2, 3, 5, 8].map(count => runSize([1, 2, 4, 8], count)),
    [1, 2, 4, 8, 8]
  )
  assert.equal(runSize([16], 1), 16)
})

const gpu = { aMs: 4, bMs: 0.5 }

test('on a GPU it pays to wait for images that are nearly there, and not for one that takes as long as a batch', () => {
  assert.equal(waitingPays(gpu, 1, [1]), true, '1·4 > 2·1 + 0.5')
  assert.equal(waitingPays(gpu, 1, [1.75]), false, '1·4 = 2·1.75 + 0.5')
  assert.equal(waitingPays(gpu, 1, [3]), false)
  assert.equal(waitingPays(gpu, 8, [0, 0]), false, 'eight that wait for two: 2·4 = 0.5·8·2')
  assert.equal(waitingPays(gpu, 7, [0, 0]), true)
})

test('nothing is waited for where nothing is being decoded, or where a batch has no fixed cost', () => {
  assert.equal(waitingPays(gpu, 1, []), false)
  for (const decoded of [1, 8]) assert.equal(waitingPays({ aMs: 0, bMs: 40 }, decoded, [0, 0, 0]), false)
})

test('waiting pays for some although it would not for all', () => {
  assert.equal(waitingPays(gpu, 1, [30, 1]), true)
  assert.equal(waitingPays(gpu, 1, [30, 29]), false)
})

test('waiting pays exactly where the times until all have their answers sum up to less', () => {
  const part = fc.integer({ min: 0, max: 40 })
  const count = fc.integer({ min: 1, max: 32 })
  fc.assert(
    fc.property(part, part, count, count, part, (a, b, j, m, r) => {
      const sooner = (some: number) =>
        j * (a + b * j) + some * (2 * a + b * (j + some)) > (j + some) * (r + a + b * (j + some))
      const coming = Array.from({ length: m }, () => r)
      assert.equal(
        waitingPays({ aMs: a, bMs: b }, j, coming),
        coming.some((_, i) => sooner(i + 1))
      )
    })
  )
})

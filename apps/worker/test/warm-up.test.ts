import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { BatchSizes } from '../src/engines/engine.ts'
import { warmUp } from '../src/batching/warm-up.ts'

interface Behaviour {
  aMs: number
  bMs: number
  firstMs?: number
  noiseMs?: (run: number) => number
  batchSizes?: BatchSizes
}

/** An engine on a clock of its own: its first run of a size takes `firstMs` longer, and every run what disturbs it. */
function createEngine(
  t: TestContext,
  { aMs, bMs, firstMs = 0, noiseMs = () => 0, batchSizes = { kind: 'any' } }: Behaviour
) {
  let nowMs = 1_000
  const runs: Array<{ floats: number; batchSize: number }> = []
  t.mock.method(performance, 'now', () => nowMs)
  return {
    batchSizes,
    runs,
    tookMs: () => nowMs - 1_000,
    allocate: (floats: number) => new Float32Array(floats),
    async infer(input: Float32Array, batchSize: number): Promise<Float32Array> {
      nowMs +=
        aMs + bMs * batchSize + noiseMs(runs.length) + (runs.some(run => run.batchSize === batchSize) ? 0 : firstMs)
      runs.push({ floats: input.length, batchSize })
      return new Float32Array(batchSize * 10)
    }
  }
}

const near = (found: number, wanted: number, within = 1e-9) =>
  assert.ok(Math.abs(found - wanted) <= within, `${found} instead of ${wanted}`)

test('every size runs once to be compiled, and then in rounds to be measured, with as many floats as it has images', async t => {
  const engine = createEngine(t, { aMs: 4, bMs: 0.5 })
  await warmUp(engine, { values: 3_072, maxSize: 8 })
  assert.deepEqual(
    engine.runs.map(({ batchSize }) => batchSize),
    [1, 1, 2, 2, 4, 4, 8, 8, ...Array.from({ length: 4 }, () => [1, 2, 4, 8]).flat()]
  )
  assert.ok(engine.runs.every(({ floats, batchSize }) => floats === batchSize * 3_072))
})

test('what an engine needs for its first run of a size is not counted', async t => {
  const engine = createEngine(t, { aMs: 4, bMs: 0.5, firstMs: 500 })
  const { latency, maxBatch, measured } = await warmUp(engine, { values: 3, maxSize: 32 })
  near(latency.aMs, 4)
  near(latency.bMs, 0.5)
  assert.equal(maxBatch, 32)
  assert.deepEqual(measured[0], { size: 1, ms: 4.5 })
})

test('a start in which everything is slow, and a size that was disturbed throughout, do not change the curve', async t => {
  const sizes = 6
  const busyStart = (run: number) => (run < 2 * sizes ? 90 : 0)
  const disturbed = (run: number) => (run < 2 * sizes ? (run === 5 ? 30 : 0) : (run - 2 * sizes) % sizes === 2 ? 30 : 0)
  for (const noiseMs of [busyStart, disturbed]) {
    const { latency } = await warmUp(createEngine(t, { aMs: 4, bMs: 0.5, noiseMs }), { values: 3, maxSize: 32 })
    near(latency.bMs, 0.5, 0.05)
    near(latency.aMs, 4, 0.5)
  }
})

test('a CPU’s limit is what the curve says', async t => {
  assert.equal((await warmUp(createEngine(t, { aMs: 0, bMs: 1.3 }), { values: 3, maxSize: 32 })).maxBatch, 8)
})

test('an engine that takes any size has none to pad to; one that compiles each has those it ran', async t => {
  const gpu = { aMs: 4, bMs: 0.5 }
  assert.deepEqual((await warmUp(createEngine(t, gpu), { values: 3, maxSize: 20 })).sizes, [])
  assert.deepEqual(
    (await warmUp(createEngine(t, { ...gpu, batchSizes: { kind: 'compiled' } }), { values: 3, maxSize: 20 })).sizes,
    [1, 2, 4, 8, 16, 20]
  )
  const { sizes, maxBatch } = await warmUp(createEngine(t, { aMs: 0, bMs: 4, batchSizes: { kind: 'compiled' } }), {
    values: 3,
    maxSize: 64
  })
  assert.deepEqual([sizes, maxBatch], [[1, 2, 4, 8], 8], 'none over the limit')
})

test('a model exported for one size is run at that alone, and takes as long for one image as for all', async t => {
  const engine = createEngine(t, { aMs: 4, bMs: 2, batchSizes: { kind: 'fixed', size: 16 } })
  const { latency, maxBatch, sizes } = await warmUp(engine, { values: 3, maxSize: 32 })
  assert.deepEqual({ latency, maxBatch, sizes }, { latency: { aMs: 36, bMs: 0 }, maxBatch: 16, sizes: [16] })
  assert.ok(engine.runs.every(({ floats, batchSize }) => batchSize === 16 && floats === 48))
  assert.equal((await warmUp(engine, { values: 3, maxSize: 4 })).maxBatch, 4, 'BATCH_MAX_SIZE bounds the images in it')
})

test('sizes that can’t be of use are not run: images of 50 ms each need no more than five sizes to show it', async t => {
  const engine = createEngine(t, { aMs: 0, bMs: 50, firstMs: 100 })
  const { maxBatch, measured } = await warmUp(engine, { values: 3, maxSize: 256 })
  assert.deepEqual([maxBatch, measured.map(({ size }) => size)], [8, [1, 2, 4, 8, 16]])
  assert.ok(engine.tookMs() < 6_000, `${engine.tookMs()} ms`)
})

test('a slow model is not measured to the last size, and never runs larger batches than were tried', async t => {
  for (const [aMs, bMs] of [
    [2_000, 1_000],
    [500, 250],
    [1_000, 0]
  ] as const) {
    const engine = createEngine(t, { aMs, bMs })
    const { maxBatch, measured } = await warmUp(engine, { values: 3, maxSize: 256 })
    assert.ok(engine.tookMs() <= 10_000, `${engine.tookMs()} ms`)
    assert.ok(measured.length < 9 && maxBatch <= (measured.at(-1)?.size ?? 0))
  }
})

test('an engine that fails fails the warm-up', async () => {
  await assert.rejects(
    warmUp(
      {
        batchSizes: { kind: 'any' },
        allocate: floats => new Float32Array(floats),
        infer: async () => {
          throw new Error('no memory')
        }
      },
      { values: 3, maxSize: 4 }
    ),
    /no memory/
  )
})

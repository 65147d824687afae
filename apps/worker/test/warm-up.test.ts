import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { warmUp } from '../src/warm-up.ts'

/** An engine on a clock of its own: its first run of a size takes `firstMs` longer. */
function createEngine (t: TestContext, { aMs, bMs, firstMs = 0 }: { aMs: number, bMs: number, firstMs?: number }) {
  let nowMs = 1_000
  const runs: Array<{ floats: number, batchSize: number }> = []
  t.mock.method(performance, 'now', () => nowMs)
  return {
    runs,
    async infer (input: Float32Array, batchSize: number): Promise<Float32Array> {
      nowMs += aMs + bMs * batchSize + (runs.some(run => run.batchSize === batchSize) ? 0 : firstMs)
      runs.push({ floats: input.length, batchSize })
      return new Float32Array(batchSize * 10)
    }
  }
}

test('every size runs twice with as many floats as it has images', async t => {
  const engine = createEngine(t, { aMs: 1, bMs: 1 })
  await warmUp(engine, { values: 3_072, maxSize: 8 })
  assert.deepEqual(engine.runs.map(({ batchSize }) => batchSize), [1, 1, 2, 2, 4, 4, 8, 8])
  assert.ok(engine.runs.every(({ floats, batchSize }) => floats === batchSize * 3_072))
})

test('what an engine needs for its first run of a size is not counted', async t => {
  const engine = createEngine(t, { aMs: 4, bMs: 0.5, firstMs: 500 })
  const { latency, maxBatch, measured } = await warmUp(engine, { values: 3, maxSize: 32 })
  assert.ok(Math.abs(latency.aMs - 4) < 1e-9)
  assert.ok(Math.abs(latency.bMs - 0.5) < 1e-9)
  assert.equal(maxBatch, 32)
  assert.deepEqual(measured[0], { size: 1, ms: 4.5 })
})

test('a CPU’s limit is what the curve says', async t => {
  assert.equal((await warmUp(createEngine(t, { aMs: 0, bMs: 1.3 }), { values: 3, maxSize: 32 })).maxBatch, 8)
})

test('a slow model is not measured to the last size, and never runs larger batches than were tried', async t => {
  const engine = createEngine(t, { aMs: 2_000, bMs: 1_000 })
  const { maxBatch, measured } = await warmUp(engine, { values: 3, maxSize: 256 })
  // 3 s twice, then 4 s twice: 14 s are more than the 10 that warming up may take.
  assert.deepEqual(measured.map(({ size }) => size), [1, 2])
  assert.equal(maxBatch, 2)
})

test('an engine that fails fails the warm-up', async () => {
  await assert.rejects(warmUp({ infer: async () => { throw new Error('no memory') } }, { values: 3, maxSize: 4 }), /no memory/)
})

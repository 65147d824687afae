import assert from 'node:assert/strict'
import { test } from 'node:test'
import { figuresOf } from '../bench/figures.ts'
import type { Sample } from '../bench/load.ts'

/** What a closed loop sees of a server that answers `batch` requests at once every `batchMs`. */
function answersOf({
  clients,
  batch,
  batchMs,
  untilMs
}: Record<'clients' | 'batch' | 'batchMs' | 'untilMs', number>): Sample[] {
  const queue = Array.from({ length: clients }, () => 0)
  const samples: Sample[] = []
  for (let nowMs = batchMs; queue.some(atMs => atMs < untilMs); nowMs += batchMs) {
    for (const atMs of queue.splice(0, batch)) {
      samples.push({ atMs, ms: nowMs - atMs, code: 'ok', stages: {} })
      queue.push(nowMs)
    }
  }
  return samples
}

test('the rate does not depend on where in a batch the window begins and ends', () => {
  const samples = answersOf({ clients: 32, batch: 8, batchMs: 350, untilMs: 6_000 })
  for (let fromMs = 1_400; fromMs < 1_750; fromMs += 50) {
    const { imagesPerSecond, p50Ms } = figuresOf({ samples, window: { fromMs, toMs: fromMs + 4_000 } })
    assert.ok(Math.abs(imagesPerSecond / (8_000 / 350) - 1) < 1e-9, `${imagesPerSecond} from ${fromMs}`)
    assert.equal(p50Ms, 1_400)
  }
})

test('what was begun outside the window counts in no time, and an error anywhere counts', () => {
  const samples: Sample[] = [
    { atMs: 0, ms: 10, code: 'ok', stages: { infer: 1 } },
    { atMs: 10, ms: 20, code: 'ok', stages: { infer: 2 } },
    { atMs: 30, ms: 20, code: 'LOST', stages: {} },
    { atMs: 50, ms: 40, code: 'ok', stages: { infer: 4 } }
  ]
  const figures = figuresOf({ samples, window: { fromMs: 10, toMs: 50 } })
  assert.deepEqual(
    { ...figures, imagesPerSecond: Math.round(figures.imagesPerSecond) },
    {
      imagesPerSecond: 25,
      p50Ms: 20,
      p90Ms: 20,
      p99Ms: 20,
      p999Ms: 20,
      ok: 3,
      errors: { LOST: 1 },
      stagesMs: { infer: 2 }
    }
  )
})

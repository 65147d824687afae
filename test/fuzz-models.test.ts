import assert from 'node:assert/strict'
import { test } from 'node:test'
import { collectModelSeeds, fuzzModels } from './support/fuzz-models.ts'

test('12 mutated model files are imported or refused in one sentence, and none reads outside of its folder', async () => {
  const report = await fuzzModels(await collectModelSeeds(), { seed: 1, from: 0, to: 12, slowMs: Infinity })
  assert.deepEqual(report.offences, [])
  const count = (outcome: string) =>
    Object.entries(report.outcomes).reduce((sum, [name, count]) => sum + (name.endsWith(outcome) ? count : 0), 0)
  // That they are not all refused at the first byte, nor all still whole.
  assert.ok(count('imported') > 0 && count('refused') > 3, JSON.stringify(report.outcomes))
})

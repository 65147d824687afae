import assert from 'node:assert/strict'
import { test } from 'node:test'
import { extent } from './faults/fault.ts'
import { collectModelSeeds, fuzzModels } from './support/fuzz-models.ts'

const count = extent(8, 40)

test(`${count} mutated model files are imported or refused in one sentence, and none reads outside of its folder`, async () => {
  const report = await fuzzModels(await collectModelSeeds(), { seed: 1, from: 0, to: count, slowMs: Infinity })
  assert.deepEqual(report.offences, [])
  const ended = (outcome: string) =>
    Object.entries(report.outcomes).reduce((sum, [name, times]) => sum + (name.endsWith(outcome) ? times : 0), 0)
  // That they are not all refused at the first byte, nor all still whole.
  assert.ok(ended('imported') > 0 && ended('refused') > 3, JSON.stringify(report.outcomes))
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deflateSync } from 'node:zlib'
import { tiff } from '../apps/worker/test/support/tiff.ts'
import { extent } from './faults/fault.ts'
import { fuzz } from './support/fuzzing.ts'
import { mutant } from './support/mutate.ts'
import { collectSeeds } from './support/seeds.ts'
import { fixture, many, startSystem } from './support/system.ts'

const count = extent(300, 1_000)

test('a mutant is the same whenever it is asked for', async () => {
  const seeds = await collectSeeds()
  assert.deepEqual(mutant(seeds, { seed: 3, index: 7 }), mutant(seeds, { seed: 3, index: 7 }))
  assert.notDeepEqual(mutant(seeds, { seed: 3, index: 7 }), mutant(seeds, { seed: 3, index: 8 }))
  assert.notDeepEqual(mutant(seeds, { seed: 3, index: 7 }), mutant(seeds, { seed: 4, index: 7 }))
})

test(`${count} mutated uploads are answered or refused in the right words, and none takes the worker down`, async t => {
  const system = await startSystem(t, { restart: true })
  const report = await fuzz(system, await collectSeeds(), { seed: 1, from: 0, to: count, slowMs: Infinity })
  assert.deepEqual(report.offences, [])
  // That they are not all refused at the door, nor all still whole.
  assert.ok((report.answers['200 ok'] ?? 0) > count / 10, JSON.stringify(report.answers))
  assert.ok((report.answers['422 UNDECODABLE_IMAGE'] ?? 0) > count / 10, JSON.stringify(report.answers))
  assert.equal(system.workers[0]?.starts, 1)
  assert.equal((await system.predict(fixture('ship.jpg'))).body.predictions?.[0]?.label, 'ship')

  await t.test(
    'C1: 240 of 240 TIFFs in tiles of single colours are answered, 16 at once beside broken pictures',
    async () => {
      const tile = deflateSync(Buffer.from(Array.from({ length: 32 * 32 }, (_, i) => i % 256)))
      const planes = tiff({ planar: true, tile: 32, compression: 8 }, [tile, tile, tile])
      const broken = fixture('ship.jpg').subarray(0, 4_000)
      const answers = await many(480, 16, i => system.predict(i % 2 === 0 ? planes : broken))
      const statuses = answers.map(({ status }, i) => `${i % 2 === 0 ? 'TIFF' : 'broken'} ${status}`)
      assert.deepEqual([...new Set(statuses)].toSorted(), ['TIFF 200', 'broken 422'])
    }
  )
})

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { digestOf, keepDescribed, limits, readDescription, type ModelDescription } from '@streamsight/protocol'
import { startRedis } from '../../../scripts/redis.js'
import { openLab } from './lab.ts'

const tabbies: ModelDescription = {
  license: 'MIT',
  source: 'a test',
  preprocessing: { channels: 'RGB', mean: [1, 2, 3] },
  assumed: ['kernel'],
  artifacts: [{ format: 'onnx', precision: 'int8', agreement: [{ share: 0.99 }] }],
  labels: [{ label: 'tabby', id: 'n02123045' }, { label: 'tiger cat' }]
}
let redis: Awaited<ReturnType<typeof startRedis>>

before(async () => {
  redis = await startRedis()
})
after(() => redis.stop())

test('a description comes back whole, what only the manifest knows included', async t => {
  const { commands, keys } = await openLab(t, redis.url)
  assert.equal(await readDescription(commands, keys, digestOf(tabbies)), undefined)
  await keepDescribed(commands, keys, tabbies)
  assert.deepEqual(await readDescription(commands, keys, digestOf(tabbies)), tabbies)
})

test('it is kept as long as a worker says so, and written again where it was lost', async t => {
  const { commands, keys } = await openLab(t, redis.url)
  const key = keys.about(digestOf(tabbies))
  await keepDescribed(commands, keys, tabbies)
  await commands.pExpire(key, 1_000)
  await keepDescribed(commands, keys, tabbies)
  const ttlMs = await commands.pTTL(key)
  assert.ok(ttlMs > limits.workerForgottenMs / 2 && ttlMs <= limits.workerForgottenMs, `${ttlMs}`)
  await commands.del(key)
  await keepDescribed(commands, keys, tabbies)
  assert.deepEqual(await readDescription(commands, keys, digestOf(tabbies)), tabbies)
})

test('other labels are another description, so that a digest never changes its meaning', () => {
  assert.notEqual(digestOf(tabbies), digestOf({ ...tabbies, labels: [{ label: 'lynx' }] }))
})

test('what is no description, of another version of this software perhaps, is none', async t => {
  const { commands, keys } = await openLab(t, redis.url)
  await commands.set(keys.about('x'), '{"labels":["tabby"]}')
  assert.equal(await readDescription(commands, keys, 'x'), undefined)
})

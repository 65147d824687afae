import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import {
  createClock,
  createRegistration,
  limits,
  readWorkers,
  type Clock,
  type Connection
} from '@streamsight/protocol'
import { startRedis } from '../../../scripts/redis.js'
import { openLab, reportOf, type Lab } from './lab.ts'

const minuteMs = 60_000
let redis: Awaited<ReturnType<typeof startRedis>>

before(async () => {
  redis = await startRedis()
})
after(() => redis.stop())

function redisNowMs(commands: Connection): Promise<number> {
  return commands.timeMs()
}

/** A clock that is `agoMs` behind Redis. */
async function clockOfPast({ commands }: Lab, agoMs: number): Promise<Clock> {
  const atMs = (await redisNowMs(commands)) - agoMs
  return { now: () => atMs, sync: async () => {} }
}

async function report(lab: Lab, name: string, clock: Clock): Promise<void> {
  await createRegistration(lab.commands, lab.keys, clock).report(reportOf(name))
}

for (const offsetMs of [-minuteMs, 0, minuteMs]) {
  test(`a clock whose source is ${offsetMs / 1_000} s off tells Redis’ time`, async t => {
    const { commands } = await openLab(t, redis.url)
    const clock = createClock(commands, () => Date.now() + offsetMs)
    const askedMs = performance.now()
    await clock.sync()
    // On a busy machine the question itself may take longer than that.
    const toleranceMs = Math.max(50, performance.now() - askedMs)
    const earliest = (await redisNowMs(commands)) - toleranceMs
    const now = clock.now()
    const latest = (await redisNowMs(commands)) + toleranceMs
    assert.ok(earliest <= now && now <= latest, `${now} is not within ${earliest} and ${latest}`)
  })
}

test('a clock follows the jumps of its source once it is synchronized again', async t => {
  const { commands } = await openLab(t, redis.url)
  let jumpMs = 0
  const clock = createClock(commands, () => performance.now() + jumpMs)
  await clock.sync()
  jumpMs = minuteMs
  assert.ok(clock.now() > (await redisNowMs(commands)) + minuteMs / 2)
  await clock.sync()
  assert.ok(clock.now() < (await redisNowMs(commands)) + minuteMs / 2)
})

test('what a worker says of itself is read with how long ago that was', async t => {
  const lab = await openLab(t, redis.url)
  await report(lab, 'a', await clockOfPast(lab, 2 * minuteMs))
  const [worker, ...others] = await readWorkers(lab.commands, lab.keys)
  assert.ok(worker)
  assert.deepEqual(others, [])
  const { silentMs, ...said } = worker
  assert.deepEqual(said, reportOf('a'))
  assert.ok(silentMs >= 2 * minuteMs && silentMs < 3 * minuteMs, `${silentMs}`)
})

test('a worker whose clock is ahead was heard of just now', async t => {
  const lab = await openLab(t, redis.url)
  await report(lab, 'a', await clockOfPast(lab, -minuteMs))
  assert.deepEqual(
    (await readWorkers(lab.commands, lab.keys)).map(({ silentMs }) => silentMs),
    [0]
  )
})

test('a later report replaces the one before', async t => {
  const lab = await openLab(t, redis.url)
  await report(lab, 'a', await clockOfPast(lab, 2 * minuteMs))
  await report(lab, 'a', await clockOfPast(lab, 0))
  const workers = await readWorkers(lab.commands, lab.keys)
  assert.equal(workers.length, 1)
  assert.ok(workers.every(({ silentMs }) => silentMs < minuteMs))
})

test('a worker that is removed is not read any more, and nothing is left of it', async t => {
  const lab = await openLab(t, redis.url)
  const clock = await clockOfPast(lab, 0)
  await report(lab, 'a', clock)
  await report(lab, 'b', clock)
  await createRegistration(lab.commands, lab.keys, clock).remove('a')
  assert.deepEqual(
    (await readWorkers(lab.commands, lab.keys)).map(({ name }) => name),
    ['b']
  )
  await createRegistration(lab.commands, lab.keys, clock).remove('b')
  assert.equal(await lab.redis.exists([lab.keys.workers, lab.keys.seen]), 0)
})

test('only a worker that was silent for long is forgotten', async t => {
  const lab = await openLab(t, redis.url)
  await report(lab, 'gone', await clockOfPast(lab, limits.workerForgottenMs + minuteMs))
  await report(lab, 'silent', await clockOfPast(lab, limits.workerForgottenMs - minuteMs))
  await createRegistration(lab.commands, lab.keys, await clockOfPast(lab, 0)).prune()
  assert.deepEqual(
    (await readWorkers(lab.commands, lab.keys)).map(({ name }) => name),
    ['silent']
  )
  assert.deepEqual(await lab.redis.hKeys(lab.keys.workers), ['silent'])
})

test('a model without workers has none', async t => {
  const lab = await openLab(t, redis.url)
  assert.deepEqual(await readWorkers(lab.commands, lab.keys), [])
})

test('a worker whose report can not be read takes no other with it', async t => {
  const lab = await openLab(t, redis.url)
  await report(lab, 'sound', await clockOfPast(lab, 0))
  for (const [name, text] of Object.entries({ torn: '{', nothing: 'null', other: '{"a":1}' })) {
    await lab.redis.hSet(lab.keys.workers, name, text)
    await lab.redis.zAdd(lab.keys.seen, { score: Date.now(), value: name })
  }
  assert.deepEqual(
    (await readWorkers(lab.commands, lab.keys)).map(({ name }) => name),
    ['sound']
  )
})

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createClock, createRegistration, isOutOfMemory, isReply, readWorkers } from '@streamsight/protocol'
import { startRedis } from '../../../scripts/redis.js'
import { answered, failure, letterOf, openLab, readOne, reportOf, success, type Lab } from './lab.ts'

let redis: Awaited<ReturnType<typeof startRedis>>

before(async () => {
  redis = await startRedis()
})
after(() => redis.stop())

/** As long as `work` goes on, Redis refuses every write that needs memory. */
async function whileFull({ redis }: Lab, work: () => Promise<void>): Promise<void> {
  await redis.configSet('maxmemory', '1')
  try {
    await work()
  } finally {
    await redis.configSet('maxmemory', '0')
  }
}

test('enqueue is refused and says why', async t => {
  const lab = await openLab(t, redis.url)
  await lab.worker('a')
  await whileFull(lab, () =>
    assert.rejects(lab.producer.enqueue(lab.job(), 1), error => isOutOfMemory(error) && isReply(error, 'OOM'))
  )
  await lab.assertEmpty()
  assert.deepEqual(await lab.producer.enqueue(lab.job(), 1), { state: 'queued' })
})

test('a write that no script made is refused and says why', async t => {
  const lab = await openLab(t, redis.url)
  await whileFull(lab, () => assert.rejects(lab.redis.set('key', 'value'), isOutOfMemory))
})

test('the queue drains, though the scripts are gone too', async t => {
  const lab = await openLab(t, redis.url)
  const worker = await lab.worker('a')
  const [first, second, third] = [await lab.enqueue(), await lab.enqueue(), await lab.enqueue()]
  await whileFull(lab, async () => {
    await lab.redis.scriptFlush()
    assert.equal(await worker.finish(await readOne(worker), success(first.id)), true)
    assert.equal(await worker.finish(await readOne(worker), failure(second.id), letterOf(second.id)), true)
    await lab.producer.cancel(third.id)
  })
  await lab.assertEmpty()
  assert.equal(await lab.redis.xLen(lab.keys.dead), 1)
})

test('a job changes hands and its lease is renewed', async t => {
  const lab = await openLab(t, redis.url)
  const [a, b] = [await lab.worker('a'), await lab.worker('b')]
  const { entry, deliveries } = await lab.delivered(a)
  await whileFull(lab, async () => {
    await a.renew([entry])
    const claimed = await b.claim({ entry, consumer: 'a', idleMs: 0, deliveries }, 0)
    assert.equal(claimed?.entry, entry)
    await b.handBack(claimed)
  })
})

test('check finds outcomes and losses, and a worker can leave', async t => {
  const lab = await openLab(t, redis.url)
  const worker = await lab.worker('a')
  const delivery = await lab.delivered(worker)
  const { id } = delivery.job
  await whileFull(lab, async () => {
    await worker.finish(delivery, success(id))
    assert.deepEqual(await lab.producer.check([delivery.job, lab.job({ id: 'unknown' })]), [
      { id, state: 'finished', outcome: answered(id) },
      { id: 'unknown', state: 'lost' }
    ])
    assert.equal(await worker.leave(), true)
  })
})

test('an error that says nothing of memory is none of it', () => {
  assert.equal(
    isOutOfMemory(new Error("ERR Error running script: OOM command not allowed when used memory > 'maxmemory'")),
    true
  )
  assert.equal(isOutOfMemory(new Error('NOSCRIPT No matching script')), false)
  assert.equal(isOutOfMemory('OOM '), false)
})

test('B5: a worker says that it lives, and a new one joins', async t => {
  const lab = await openLab(t, redis.url)
  await whileFull(lab, async () => {
    await createRegistration(lab.commands, lab.keys, createClock(lab.commands)).report(reportOf('new'))
    // Creates stream and group.
    await lab.worker('new')
  })
  assert.deepEqual(
    (await readWorkers(lab.commands, lab.keys)).map(({ name }) => name),
    ['new']
  )
})

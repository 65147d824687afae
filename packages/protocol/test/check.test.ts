import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { group, limits, type CheckReply, type Delivery } from '@streamsight/protocol'
import { startRedis } from '../../../scripts/redis.js'
import { answered, ask, openLab, readOne, success, type Lab } from './lab.ts'

let redis: Awaited<ReturnType<typeof startRedis>>

before(async () => {
  redis = await startRedis()
})
after(() => redis.stop())

/** How long a job has been with its worker is another matter. */
function settleIdle(replies: CheckReply[]): CheckReply[] {
  return replies.map(reply => (reply.state === 'running' ? { ...reply, idleMs: 0 } : reply))
}

async function stateOf({ producer, job }: Lab, id: string): Promise<string | undefined> {
  const [reply] = await producer.check([job({ id })])
  assert.equal(reply?.id, id)
  // Queued or with a worker: it is somebody's.
  return reply.state === 'queued' || reply.state === 'running' ? 'owned' : reply.state
}

test('a queued job is owned', async t => {
  const lab = await openLab(t, redis.url)
  const { id } = await lab.enqueue()
  assert.equal(await stateOf(lab, id), 'owned')
})

test('a job with a worker is owned', async t => {
  const lab = await openLab(t, redis.url)
  const { job } = await lab.delivered(await lab.worker('a'))
  assert.equal(await stateOf(lab, job.id), 'owned')
})

test('a queued job of the same millisecond as a delivered one is owned', async t => {
  const lab = await openLab(t, redis.url)
  const worker = await lab.worker('a')
  for (const [id, entry] of [
    ['first', '7-1'],
    ['second', '7-2']
  ] as const) {
    await lab.redis.xAdd(lab.keys.jobs, entry, { v: '1' })
    await lab.redis.hSet(lab.keys.job(id), { ask, entry })
  }
  await worker.read(1, () => {})
  assert.equal(await stateOf(lab, 'first'), 'owned')
  assert.equal(await stateOf(lab, 'second'), 'owned')
  await worker.read(1, () => {})
  await lab.redis.xAck(lab.keys.jobs, group, '7-1')
  assert.equal(await stateOf(lab, 'first'), 'lost')
  assert.equal(await stateOf(lab, 'second'), 'owned')
})

test('a job that a second worker took over is owned', async t => {
  const lab = await openLab(t, redis.url)
  const { job, entry } = await lab.delivered(await lab.worker('a'))
  await (await lab.worker('b')).claim({ entry, consumer: 'a', idleMs: 0, deliveries: 1 }, 0)
  assert.equal(await stateOf(lab, job.id), 'owned')
})

test('a job that was handed back is owned', async t => {
  const lab = await openLab(t, redis.url)
  const worker = await lab.worker('a')
  const delivery = await lab.delivered(worker)
  await worker.handBack(delivery)
  assert.equal(await stateOf(lab, delivery.job.id), 'owned')
})

test('a finished job comes with its outcome', async t => {
  const lab = await openLab(t, redis.url)
  const worker = await lab.worker('a')
  const delivery = await lab.delivered(worker)
  const { id } = delivery.job
  await worker.finish(delivery, success(id))
  assert.deepEqual(await lab.producer.check([lab.job({ id })]), [{ id, state: 'finished', outcome: answered(id) }])
})

test('an id that nobody enqueued is lost', async t => {
  assert.equal(await stateOf(await openLab(t, redis.url), 'unknown'), 'lost')
})

test('each of 200 ids gets its own reply, in their order', async t => {
  const lab = await openLab(t, redis.url)
  const worker = await lab.worker('a')
  const ids = Array.from({ length: limits.checkIds }, (_, i) => `id-${i}`)
  for (const id of ids.filter((_, i) => i % 3 < 2)) await lab.enqueue({ id })
  for (const delivery of await worker.read(ids.length, assert.ifError)) {
    if (ids.indexOf(delivery.job.id) % 3 === 0) await worker.finish(delivery, success(delivery.job.id))
  }
  assert.deepEqual(
    settleIdle(await lab.producer.check(ids.map(id => lab.job({ id })))),
    ids.map((id, i) => {
      if (i % 3 === 0) return { id, state: 'finished', outcome: answered(id) }
      return i % 3 === 1 ? { id, state: 'running', deliveries: 1, idleMs: 0 } : { id, state: 'lost' }
    })
  )
})

test('a job is still owned after XGROUP DESTROY, and delivered again', async t => {
  const lab = await openLab(t, redis.url)
  const worker = await lab.worker('a')
  const { job } = await lab.delivered(worker)
  await lab.redis.xGroupDestroy(lab.keys.jobs, group)
  assert.equal(await stateOf(lab, job.id), 'owned')
  await worker.ensureGroup()
  assert.equal(await stateOf(lab, job.id), 'owned')
  assert.equal((await readOne(worker)).job.id, job.id)
})

/** What takes a job away without an outcome, while it is with worker `a`. */
const losses: Record<string, (lab: Lab, delivery: Delivery) => Promise<unknown>> = {
  FLUSHALL: ({ redis }) => redis.flushAll(),
  'an XACK by a stranger': ({ redis, keys }, { entry }) => redis.xAck(keys.jobs, group, entry),
  'XACK and XDEL by a stranger': async ({ redis, keys }, { entry }) => {
    await redis.xAck(keys.jobs, group, entry)
    await redis.xDel(keys.jobs, entry)
  },
  'XGROUP DELCONSUMER of its holder': ({ redis, keys }) => redis.xGroupDelConsumer(keys.jobs, group, 'a'),
  'DEL of the stream': ({ redis, keys }) => redis.del(keys.jobs),
  'FLUSHALL, and a worker that makes the stream again': async lab => {
    await lab.redis.flushAll()
    await lab.worker('b')
  },
  'DEL of the stream, and a worker that makes it again': async lab => {
    await lab.redis.del(lab.keys.jobs)
    await lab.worker('b')
  }
}

for (const [what, lose] of Object.entries(losses)) {
  test(`a job with a worker is lost after ${what}, and can be enqueued again at once`, async t => {
    const lab = await openLab(t, redis.url)
    const delivery = await lab.delivered(await lab.worker('a'))
    await lose(lab, delivery)
    assert.equal(await stateOf(lab, delivery.job.id), 'lost')
    assert.deepEqual(await lab.producer.enqueue({ ...delivery.job, attempt: 1 }, 1_000), { state: 'queued' })
    assert.equal(await stateOf(lab, delivery.job.id), 'owned')
    const again = await readOne(await lab.worker('c'))
    assert.deepEqual([again.job.id, again.job.attempt, again.deliveries], [delivery.job.id, 1, 2])
  })
}

const wipes: Record<string, (lab: Lab) => Promise<unknown>> = {
  FLUSHALL: ({ redis }) => redis.flushAll(),
  'DEL of the stream': ({ redis, keys }) => redis.del(keys.jobs),
  'DEL of the stream, and a worker that makes it again': async lab => {
    await lab.redis.del(lab.keys.jobs)
    await lab.worker('b')
  },
  'an XTRIM of everything': ({ redis, keys }) => redis.xTrim(keys.jobs, 'MAXLEN', 0)
}

for (const [what, wipe] of Object.entries(wipes)) {
  test(`a queued job is lost after ${what}, and can be enqueued again at once`, async t => {
    const lab = await openLab(t, redis.url)
    await lab.worker('a')
    const job = await lab.enqueue()
    await wipe(lab)
    assert.equal(await stateOf(lab, job.id), 'lost')
    assert.deepEqual(await lab.producer.enqueue({ ...job, attempt: 1 }, 1_000), { state: 'queued' })
    assert.equal(await stateOf(lab, job.id), 'owned')
  })
}

test('a queued job that was wiped is lost at the latest once a newer one was delivered', async t => {
  const lab = await openLab(t, redis.url)
  const worker = await lab.worker('a')
  const { id } = await lab.enqueue()
  const entry = await lab.redis.hGet(lab.keys.job(id), 'entry')
  await lab.enqueue()
  await lab.redis.xDel(lab.keys.jobs, String(entry))
  await readOne(worker)
  assert.equal(await stateOf(lab, id), 'lost')
})

test('what check calls lost leaves no second entry behind', async t => {
  const lab = await openLab(t, redis.url)
  const delivery = await lab.delivered(await lab.worker('a'))
  await lab.redis.xAck(lab.keys.jobs, group, delivery.entry)
  assert.equal(await stateOf(lab, delivery.job.id), 'lost')
  assert.equal(await lab.producer.depth(), 0)
  await lab.producer.enqueue({ ...delivery.job, attempt: 1 }, 1_000)
  assert.equal(await lab.producer.depth(), 1)
})

test('the worker that had a lost job still settles it', async t => {
  const lab = await openLab(t, redis.url)
  const worker = await lab.worker('a')
  const delivery = await lab.delivered(worker)
  const { id } = delivery.job
  await lab.redis.xAck(lab.keys.jobs, group, delivery.entry)
  await lab.producer.check([lab.job({ id })])
  await lab.producer.enqueue({ ...delivery.job, attempt: 1 }, 1_000)
  assert.equal(await worker.finish(delivery, success(id, 'first')), true)
  assert.equal(await worker.finish(await readOne(worker), success(id, 'second')), false)
  assert.deepEqual(await lab.producer.check([lab.job({ id })]), [
    { id, state: 'finished', outcome: answered(id, 'first') }
  ])
  assert.equal(await lab.producer.depth(), 0)
})

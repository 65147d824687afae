import assert from 'node:assert/strict'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { after, before, test } from 'node:test'
import {
  createClock,
  createConsumer,
  group,
  isStreamGone,
  limits,
  queuedMs,
  type Consumer,
  type Pending
} from '@streamsight/protocol'
import { startRedis } from '../../../scripts/redis.js'
import { until } from '../../../test/support/until.ts'
import { connect, openLab, readOne, success, type Lab } from './lab.ts'

const hourMs = 3_600_000
let redis: Awaited<ReturnType<typeof startRedis>>

before(async () => {
  redis = await startRedis()
})
after(() => redis.stop())

/** Makes it look as if `holder` had been silent about an entry for an hour. */
async function silence({ redis, keys }: Lab, holder: string, entry: string): Promise<void> {
  await redis.xClaimJustId(keys.jobs, group, holder, 0, entry, { IDLE: hourMs })
}

/** The one entry that was delivered and not finished. */
async function onlyPending(consumer: Consumer, idleMs = 0): Promise<Pending> {
  const [pending, ...others] = await consumer.pending({ idleMs, count: 10 })
  assert.ok(pending)
  assert.deepEqual(others, [])
  return pending
}

/** An entry that no gateway of this version wrote. */
async function addUnreadable({ redis, keys }: Lab): Promise<string> {
  return String(await redis.xAdd(keys.jobs, '*', { v: '99' }))
}

test('jobs are read in order, each by one worker', async t => {
  const lab = await openLab(t, redis.url)
  const [a, b] = [await lab.worker('a'), await lab.worker('b')]
  const ids = []
  for (let i = 0; i < 5; i++) ids.push((await lab.enqueue()).id)
  const deliveries = [...(await a.read(2, assert.ifError)), ...(await b.read(10, assert.ifError))]
  assert.deepEqual(
    deliveries.map(({ job }) => job.id),
    ids
  )
  assert.deepEqual(
    deliveries.map(({ deliveries }) => deliveries),
    [1, 1, 1, 1, 1]
  )
})

test('a read of an empty stream gives nothing', async t => {
  const lab = await openLab(t, redis.url)
  assert.deepEqual(await (await lab.worker('a')).read(1, assert.ifError), [])
})

test('images that were read are not kept by the connection', async t => {
  const lab = await openLab(t, redis.url)
  const worker = await lab.worker('a')
  const images: Array<WeakRef<Buffer>> = []
  for (let i = 0; i < 10; i++)
    images.push(new WeakRef((await lab.delivered(worker, { image: Buffer.alloc(100_000) })).job.image))
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  await until('all but the last are gone', () => {
    collect()
    return images.filter(image => image.deref() !== undefined).length <= 1
  })
})

test('a silent worker’s job is claimed by one of two that try', async t => {
  const lab = await openLab(t, redis.url)
  const [a, b, c] = [await lab.worker('a'), await lab.worker('b'), await lab.worker('c')]
  const { entry, job } = await lab.delivered(a)
  await silence(lab, 'a', entry)
  const pending = await onlyPending(b, limits.leaseMs)
  const claims = await Promise.all([b, c].map(worker => worker.claim(pending, limits.leaseMs)))
  assert.deepEqual(
    claims.flatMap(claim => (claim ? [claim.job.id] : [])),
    [job.id]
  )
})

test('a job that its worker holds within the lease is not claimed', async t => {
  const lab = await openLab(t, redis.url)
  await lab.delivered(await lab.worker('a'))
  const other = await lab.worker('b')
  assert.equal(await other.claim(await onlyPending(other), hourMs), undefined)
  assert.equal((await onlyPending(other)).consumer, 'a')
})

test('a job that was finished or cancelled meanwhile is not claimed', async t => {
  const lab = await openLab(t, redis.url)
  const [a, b] = [await lab.worker('a'), await lab.worker('b')]
  const delivery = await lab.delivered(a)
  const pending = await onlyPending(b)
  await lab.producer.cancel(delivery.job.id)
  assert.equal(await b.claim(pending, 0), undefined)
  await lab.assertEmpty()
})

test('each delivery is counted, over all workers', async t => {
  const lab = await openLab(t, redis.url)
  const [a, b] = [await lab.worker('a'), await lab.worker('b')]
  const { deliveries } = await lab.delivered(a)
  const second = await b.claim(await onlyPending(b), 0)
  const third = await a.claim(await onlyPending(a), 0)
  assert.deepEqual([deliveries, second?.deliveries, third?.deliveries], [1, 2, 3])
})

test('a delivery that never arrived can be left out of the count', async t => {
  const lab = await openLab(t, redis.url)
  const [a, b] = [await lab.worker('a'), await lab.worker('b')]
  await lab.delivered(a)
  const lost = await onlyPending(a)
  const again = await a.claim({ ...lost, deliveries: lost.deliveries - 1 }, 0)
  assert.equal(again?.deliveries, 1)
  assert.equal((await onlyPending(b)).deliveries, 1)
})

test('earlier enqueueings count as deliveries', async t => {
  const lab = await openLab(t, redis.url)
  const [a, b] = [await lab.worker('a'), await lab.worker('b')]
  const { deliveries } = await lab.delivered(a, { attempt: 2 })
  const second = await b.claim(await onlyPending(b), 0)
  assert.deepEqual([deliveries, second?.deliveries], [3, 4])
})

for (const attempt of [0, 1]) {
  test(`a job of attempt ${attempt} that is handed back can be claimed at once, and its delivery does not count`, async t => {
    const lab = await openLab(t, redis.url)
    const [a, b] = [await lab.worker('a'), await lab.worker('b')]
    await a.handBack(await lab.delivered(a, { attempt }))
    const second = await b.claim(await onlyPending(b, limits.leaseMs), limits.leaseMs)
    assert.equal(second?.deliveries, attempt + 1)
    await b.handBack(second)
    const third = await a.claim(await onlyPending(a, limits.leaseMs), limits.leaseMs)
    assert.equal(third?.deliveries, attempt + 1)
    const fourth = await b.claim(await onlyPending(b), 0)
    assert.equal(fourth?.deliveries, attempt + 2)
  })
}

test('a renewed lease is young again, and no delivery is counted', async t => {
  const lab = await openLab(t, redis.url)
  const worker = await lab.worker('a')
  const { entry } = await lab.delivered(worker)
  await silence(lab, 'a', entry)
  assert.equal((await onlyPending(worker, hourMs)).entry, entry)
  await worker.renew([entry])
  assert.deepEqual(await worker.pending({ idleMs: hourMs, count: 1 }), [])
  assert.equal((await onlyPending(worker)).deliveries, 1)
})

test('a renewal brings nothing back that was finished', async t => {
  const lab = await openLab(t, redis.url)
  const worker = await lab.worker('a')
  const [done, held] = [await lab.delivered(worker), await lab.delivered(worker)]
  await worker.finish(done, success(done.job.id))
  await worker.renew([done.entry, held.entry])
  assert.equal((await onlyPending(worker)).entry, held.entry)
})

test('a worker finds what is pending under its own name', async t => {
  const lab = await openLab(t, redis.url)
  const [a, b] = [await lab.worker('a'), await lab.worker('b')]
  const [first, second] = [await lab.delivered(a), await lab.delivered(b)]
  const mine = await a.pending({ idleMs: 0, mine: true, count: 10 })
  assert.deepEqual(
    mine.map(({ entry, consumer, deliveries }) => [entry, consumer, deliveries]),
    [[first.entry, 'a', 1]]
  )
  const all = await a.pending({ idleMs: 0, count: 10 })
  assert.deepEqual(
    all.map(({ entry }) => entry),
    [first.entry, second.entry]
  )
  assert.equal((await a.pending({ idleMs: 0, count: 1 })).length, 1)
})

test('a job that no worker can read is reported, and those beside it are read', async t => {
  const lab = await openLab(t, redis.url)
  const worker = await lab.worker('a')
  const entry = await addUnreadable(lab)
  const { id } = await lab.enqueue()
  const dropped: unknown[] = []
  const deliveries = await worker.read(2, (...report) => {
    dropped.push(report)
  })
  assert.deepEqual(dropped, [[entry, new Error('job of protocol version 99, this worker speaks 1')]])
  assert.deepEqual(
    deliveries.map(({ job }) => job.id),
    [id]
  )
})

test('a job that no worker can read is not claimed either', async t => {
  const lab = await openLab(t, redis.url)
  const worker = await lab.worker('a')
  await addUnreadable(lab)
  await worker.read(1, () => {})
  assert.equal(await worker.claim(await onlyPending(worker), 0), undefined)
})

test('trimming removes what is old, and nothing else', async t => {
  const lab = await openLab(t, redis.url)
  const worker = await lab.worker('a')
  await lab.redis.xAdd(lab.keys.jobs, '1-0', { v: '1' })
  const { id } = await lab.enqueue()
  assert.equal(await worker.trim(limits.strandedMs), 1)
  assert.equal(await worker.trim(limits.strandedMs), 0)
  assert.equal((await readOne(worker)).job.id, id)
})

test('what is trimmed under a worker’s hands is not claimed, and lost to the gateway', async t => {
  const lab = await openLab(t, redis.url)
  const clock = { ...createClock(lab.commands), now: () => Date.now() + hourMs }
  const worker = createConsumer(
    { commands: lab.commands, blocking: await connect(t, redis.url) },
    { keys: lab.keys, name: 'a', clock }
  )
  const { job } = await lab.delivered(worker)
  assert.equal(await worker.trim(limits.strandedMs), 1)
  assert.equal(await worker.claim(await onlyPending(worker), 0), undefined)
  assert.deepEqual(await lab.producer.check([job]), [{ id: job.id, state: 'lost' }])
  await lab.assertEmpty()
})

const wipes: Record<string, (lab: Lab) => Promise<unknown>> = {
  'DEL of the stream': ({ redis, keys }) => redis.del(keys.jobs),
  FLUSHALL: ({ redis }) => redis.flushAll(),
  'XGROUP DESTROY': ({ redis, keys }) => redis.xGroupDestroy(keys.jobs, group)
}

for (const [what, wipe] of Object.entries(wipes)) {
  test(`after ${what} under a read the stream is gone, and can be read once the group is made again`, async t => {
    const lab = await openLab(t, redis.url)
    const worker = await lab.worker('a')
    const reading = assert.rejects(worker.read(1, assert.ifError), isStreamGone)
    await until('the read blocks', async () => /blocked_clients:1\b/.test(await lab.redis.info('clients')))
    await wipe(lab)
    await reading
    await assert.rejects(worker.read(1, assert.ifError), isStreamGone)
    await worker.ensureGroup()
    await worker.ensureGroup()
    const { id } = await lab.enqueue()
    assert.equal((await readOne(worker)).job.id, id)
  })
}

test('the wait in the queue is counted on Redis’ clock and never below nothing', async t => {
  const { job } = await openLab(t, redis.url)
  assert.equal(queuedMs({ entry: '1000-7', takenAtMs: 1_250, job: job(), deliveries: 1 }), 250)
  assert.equal(queuedMs({ entry: '1000-7', takenAtMs: 999, job: job(), deliveries: 1 }), 0)
})

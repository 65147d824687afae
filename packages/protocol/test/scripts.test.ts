import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createDeadLetters, encodeOutcome, group, limits } from '@streamsight/protocol'
import { startRedis } from '../../../scripts/redis.js'
import { until } from '../../../test/support/until.ts'
import { answered, ask, failure, letterOf, listen, openLab, readOne, success } from './lab.ts'

let redis: Awaited<ReturnType<typeof startRedis>>

before(async () => {
  redis = await startRedis()
})
after(() => redis.stop())

test('enqueue puts a job on the stream, under a marker that outlives its deadline', async t => {
  const { producer, worker, job, redis: raw, keys } = await openLab(t, redis.url)
  await worker('a')
  const { id, ttlMs, ...rest } = job()
  assert.deepEqual(await producer.enqueue({ id, ttlMs, ...rest }, 1), { state: 'queued' })
  const entries = await raw.xRange(keys.jobs, '-', '+')
  assert.deepEqual(
    entries?.map(entry => entry.id),
    [await raw.hGet(keys.job(id), 'entry')]
  )
  const markedMs = await raw.pTTL(keys.job(id))
  assert.ok(markedMs > ttlMs && markedMs <= ttlMs + limits.jobGraceMs, `${markedMs}`)
})

test('enqueue of an id that waits already adds nothing', async t => {
  const { producer, enqueue, redis: raw, keys } = await openLab(t, redis.url)
  const job = await enqueue()
  assert.deepEqual(await producer.enqueue(job, 1_000), { state: 'waiting' })
  assert.equal(await raw.xLen(keys.jobs), 1)
})

test('enqueue of an id that has an outcome gives it', async t => {
  const lab = await openLab(t, redis.url)
  const worker = await lab.worker('a')
  const delivery = await lab.delivered(worker)
  await worker.finish(delivery, success(delivery.job.id))
  assert.deepEqual(await lab.producer.enqueue(delivery.job, 1_000), {
    state: 'finished',
    outcome: answered(delivery.job.id)
  })
  await lab.assertEmpty()
})

test('enqueue on a full stream says how full, and an id that waits there is still known', async t => {
  const { producer, enqueue, job } = await openLab(t, redis.url)
  await enqueue()
  const second = await enqueue()
  assert.deepEqual(await producer.enqueue(job(), 2), { state: 'full', depth: 2 })
  assert.deepEqual(await producer.enqueue(second, 2), { state: 'waiting' })
  assert.equal(await producer.depth(), 2)
})

test('enqueue without a stream makes it, with the group at 0', async t => {
  const { producer, job, redis: raw, keys } = await openLab(t, redis.url)
  assert.deepEqual(await producer.enqueue(job(), 1), { state: 'queued' })
  const groups = await raw.xInfoGroups(keys.jobs)
  assert.deepEqual(
    groups.map(info => [info.name, info['last-delivered-id']]),
    [[group, '0-0']]
  )
})

test('what was enqueued before any worker came is delivered', async t => {
  const lab = await openLab(t, redis.url)
  const { id } = await lab.enqueue()
  const worker = await lab.worker('a')
  const [delivery] = await worker.read(1, assert.ifError)
  assert.equal(delivery?.job.id, id)
})

test('finish stores the first outcome, publishes it, and takes the job off the stream', async t => {
  const lab = await openLab(t, redis.url)
  const worker = await lab.worker('a')
  const delivery = await lab.delivered(worker)
  const { id, replyTo } = delivery.job
  const messages = await listen(t, redis.url, replyTo)
  assert.equal(await worker.finish(delivery, success(id, 'first')), true)
  await until('the outcome is published', () => messages.length > 0)
  assert.deepEqual(messages, [encodeOutcome(success(id, 'first'), ask)])
  assert.equal(await lab.redis.hGet(lab.keys.result(id), 'outcome'), messages[0])
  await lab.assertEmpty()
})

test('a second finish changes nothing and publishes nothing', async t => {
  const lab = await openLab(t, redis.url)
  const worker = await lab.worker('a')
  const delivery = await lab.delivered(worker)
  const { id, replyTo } = delivery.job
  const messages = await listen(t, redis.url, replyTo)
  await worker.finish(delivery, success(id, 'first'))
  assert.equal(await worker.finish(delivery, success(id, 'second'), letterOf(id)), false)
  await lab.redis.publish(replyTo, 'the end')
  await until('the end', () => messages.includes('the end'))
  assert.deepEqual(messages, [encodeOutcome(success(id, 'first'), ask), 'the end'])
  assert.equal(await lab.redis.hGet(lab.keys.result(id), 'outcome'), messages[0])
  assert.equal(await lab.redis.exists(lab.keys.dead), 0)
  await lab.assertEmpty()
})

test('a second finish still takes the redelivered job off the stream', async t => {
  const lab = await openLab(t, redis.url)
  const worker = await lab.worker('a')
  const delivery = await lab.delivered(worker)
  const { id } = delivery.job
  await lab.redis.hSet(lab.keys.result(id), { ask, outcome: encodeOutcome(success(id, 'first'), ask) })
  assert.equal(await worker.finish(delivery, success(id, 'second')), false)
  await lab.assertEmpty()
})

test('finish writes a dead letter with the first outcome, which an operator can read and remove', async t => {
  const lab = await openLab(t, redis.url)
  const worker = await lab.worker('a')
  const delivery = await lab.delivered(worker)
  const { id } = delivery.job
  await worker.finish(delivery, failure(id, 'POISONED_IMAGE'), letterOf(id))
  const letters = createDeadLetters(lab.commands, lab.keys)
  const [letter] = await letters.list(10)
  assert.ok(letter)
  assert.deepEqual(letter, {
    entry: letter.entry,
    at: new Date(Number.parseInt(letter.entry, 10)).toISOString(),
    ...letterOf(id)
  })
  assert.deepEqual(await letters.get(letter.entry), letter)
  assert.deepEqual([await letters.remove(letter.entry), await letters.remove(letter.entry)], [true, false])
  assert.equal(await letters.get(letter.entry), undefined)
})

const remembered = {
  'a success': [success, limits.retryableResultTtlMs, limits.resultTtlMs],
  'a failure of the image': [
    (id: string) => failure(id, 'UNDECODABLE_IMAGE'),
    limits.retryableResultTtlMs,
    limits.resultTtlMs
  ],
  'a poisoned image': [(id: string) => failure(id, 'POISONED_IMAGE'), limits.retryableResultTtlMs, limits.resultTtlMs],
  'a failure of the engine': [(id: string) => failure(id, 'INFERENCE_FAILED'), 0, limits.retryableResultTtlMs],
  'an expired deadline': [(id: string) => failure(id, 'DEADLINE_EXCEEDED'), 0, limits.retryableResultTtlMs]
} as const

for (const [what, [outcome, overMs, upToMs]] of Object.entries(remembered)) {
  test(`${what} is remembered for at most ${upToMs / 1_000} s`, async t => {
    const lab = await openLab(t, redis.url)
    const worker = await lab.worker('a')
    const delivery = await lab.delivered(worker)
    await worker.finish(delivery, outcome(delivery.job.id))
    const ttlMs = await lab.redis.pTTL(lab.keys.result(delivery.job.id))
    assert.ok(ttlMs > overMs && ttlMs <= upToMs, `${ttlMs}`)
  })
}

test('cancel takes a queued job off the stream, and its id can be enqueued anew', async t => {
  const lab = await openLab(t, redis.url)
  await lab.worker('a')
  const job = await lab.enqueue()
  await lab.producer.cancel(job.id)
  await lab.assertEmpty()
  assert.deepEqual(await lab.producer.enqueue(job, 1), { state: 'queued' })
})

test('cancel takes a job from the worker that has it, which then finishes in vain', async t => {
  const lab = await openLab(t, redis.url)
  const worker = await lab.worker('a')
  const delivery = await lab.delivered(worker)
  await lab.producer.cancel(delivery.job.id)
  await lab.assertEmpty()
  await worker.finish(delivery, success(delivery.job.id))
  await lab.assertEmpty()
})

test('cancel of a finished job leaves its outcome', async t => {
  const lab = await openLab(t, redis.url)
  const worker = await lab.worker('a')
  const delivery = await lab.delivered(worker)
  await worker.finish(delivery, success(delivery.job.id))
  await lab.producer.cancel(delivery.job.id)
  assert.deepEqual(await lab.producer.check([delivery.job]), [
    { id: delivery.job.id, state: 'finished', outcome: answered(delivery.job.id) }
  ])
})

test('cancel of an id that was never enqueued, twice, or with the stream gone does nothing', async t => {
  const lab = await openLab(t, redis.url)
  await lab.producer.cancel('unknown')
  const { id } = await lab.enqueue()
  await lab.redis.del(lab.keys.jobs)
  await lab.producer.cancel(id)
  await lab.producer.cancel(id)
  assert.deepEqual(await lab.redis.keys(`*${lab.prefix}*`), [])
})

test('a worker that holds a job cannot leave, one that holds nothing can', async t => {
  const lab = await openLab(t, redis.url)
  const worker = await lab.worker('a')
  const delivery = await lab.delivered(worker)
  assert.equal(await worker.leave(), false)
  assert.equal((await worker.pending({ idleMs: 0, mine: true, count: 1 })).length, 1)
  await worker.finish(delivery, success(delivery.job.id))
  assert.equal(await worker.leave(), true)
  assert.deepEqual(await lab.redis.xInfoConsumers(lab.keys.jobs, group), [])
})

test('a worker can leave when the stream is gone', async t => {
  const lab = await openLab(t, redis.url)
  const worker = await lab.worker('a')
  await lab.redis.del(lab.keys.jobs)
  assert.equal(await worker.leave(), true)
})

test('every script is loaded again after SCRIPT FLUSH', async t => {
  const lab = await openLab(t, redis.url)
  const worker = await lab.worker('a')
  const flush = () => lab.redis.scriptFlush()
  await flush()
  const delivery = await lab.delivered(worker)
  const { id } = delivery.job
  await flush()
  assert.equal((await lab.producer.check([delivery.job]))[0]?.state, 'running')
  await flush()
  assert.equal(await worker.finish(delivery, success(id)), true)
  await flush()
  await lab.producer.cancel(id)
  await flush()
  assert.equal(await worker.leave(), true)
})

test('B8: another picture or another topK under the same id is refused, queued or finished', async t => {
  const lab = await openLab(t, redis.url)
  const worker = await lab.worker('a')
  const job = await lab.enqueue()
  const others = [lab.job({ id: job.id, image: Buffer.from('another') }), lab.job({ id: job.id, options: { topK: 1 } })]
  for (const other of others) assert.deepEqual(await lab.producer.enqueue(other, 10), { state: 'mismatch' })
  await worker.finish(await readOne(worker), success(job.id))
  for (const other of others) {
    assert.deepEqual(await lab.producer.enqueue(other, 10), { state: 'mismatch' })
    assert.deepEqual(await lab.producer.check([other]), [{ id: job.id, state: 'mismatch' }])
  }
})

for (const code of ['DEADLINE_EXCEEDED', 'INFERENCE_FAILED'] as const) {
  test(`B7: ${code} answers who waits, and makes room for who comes later`, async t => {
    const lab = await openLab(t, redis.url)
    const worker = await lab.worker('a')
    const { id, ...job } = await lab.enqueue()
    await worker.finish(await readOne(worker), failure(id, code))
    assert.equal((await lab.producer.check([{ id, ...job }]))[0]?.state, 'finished')
    assert.deepEqual(await lab.producer.enqueue({ id, ...job }, 10), { state: 'queued' })
    assert.equal(await worker.finish(await readOne(worker), success(id)), true)
    assert.deepEqual(await lab.producer.check([{ id, ...job }]), [{ id, state: 'finished', outcome: answered(id) }])
  })
}

test('B7: the marker of a job lives as long as the latest of those who wait for it', async t => {
  const lab = await openLab(t, redis.url)
  const job = await lab.enqueue({ ttlMs: 1_000 })
  await lab.producer.enqueue({ ...job, ttlMs: 60_000 }, 10)
  await lab.producer.enqueue({ ...job, ttlMs: 1_000 }, 10)
  assert.ok((await lab.redis.pTTL(lab.keys.job(job.id))) > 60_000)
})

test('B9: a job is cancelled when the last gateway that waits for it leaves', async t => {
  const lab = await openLab(t, redis.url)
  await lab.worker('a')
  const other = lab.producerOf('gateway-2')
  const job = await lab.enqueue()
  assert.deepEqual(await other.enqueue(job, 10), { state: 'waiting' })
  await lab.producer.cancel(job.id)
  assert.equal(await lab.producer.depth(), 1)
  await other.cancel(job.id)
  await lab.assertEmpty()
})

test('B9: who only looks after a job waits for it too', async t => {
  const lab = await openLab(t, redis.url)
  const job = await lab.enqueue()
  await lab.producerOf('gateway-2').check([job])
  await lab.producer.cancel(job.id)
  assert.equal(await lab.producer.depth(), 1)
})

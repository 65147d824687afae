import assert from 'node:assert/strict'
import { test } from 'node:test'
import { keysOf } from '@streamsight/protocol'
import { metric } from './faults/oracle.ts'
import { openRedis } from './support/redis.ts'
import { fixture, fixtures, many, startSystem } from './support/system.ts'
import { until } from './support/until.ts'

test('a system of three workers', async t => {
  const system = await startSystem(t, { workers: 3 })

  await t.test('a picture is answered in the documented shape, with its id in both logs', async () => {
    const { status, headers, body } = await system.predict(fixture('ship.jpg'))

    assert.equal(status, 200)
    assert.equal(body.success, true)
    assert.deepEqual(Object.keys(body).toSorted(), ['model', 'predictions', 'requestId', 'success'])
    assert.equal(body.predictions?.length, 5)
    assert.equal(body.predictions[0]?.label, 'ship')
    assert.deepEqual(body.model, { name: 'everyday', version: '1' })
    assert.equal(headers.get('x-request-id'), body.requestId)
    assert.match(
      headers.get('server-timing') ?? '',
      /^queue;dur=[\d.]+, decode;dur=[\d.]+, infer;dur=[\d.]+, total;dur=[\d.]+$/
    )

    const request = await system.gateway.untilLog(
      'the gateway logged the request',
      line => line.event === 'request' && line.requestId === body.requestId
    )
    const job = await until('a worker logged the job', () =>
      system.workers
        .flatMap(({ lines }) => lines)
        .find(line => line.event === 'job' && line['jobId'] === request['jobId'])
    )
    for (const line of [request, job]) {
      for (const field of ['queueMs', 'decodeMs', 'inferMs', 'batchSize', 'model', 'engine', 'deliveries'])
        assert.ok(line[field] !== undefined, `${field} in ${JSON.stringify(line)}`)
    }
  })

  await t.test('they share 500 requests, every answer belongs to its picture, and Redis is left clean', async t => {
    const answers = await many(500, 50, async i => {
      const { image, label } = fixtures[i % fixtures.length] as (typeof fixtures)[number]
      return { label, answer: await system.predict(image) }
    })

    for (const { label, answer } of answers) {
      assert.equal(answer.status, 200)
      assert.equal(answer.body.predictions?.[0]?.label, label)
    }
    const busy = system.workers.filter(worker => worker.lines.some(({ event }) => event === 'job'))
    assert.equal(busy.length, 3)

    const redis = await openRedis(t, system.redis.url)
    const keys = keysOf(system.prefix, 'everyday')
    await until(
      'no channel is left',
      async () => (await redis.sendCommand<string[]>(['PUBSUB', 'CHANNELS', '*'])).length === 0
    )
    assert.equal(await redis.xLen(keys.jobs), 0)
    assert.equal((await redis.xPending(keys.jobs, 'workers')).pending, 0)
    const lasting: string[] = []
    for (const key of await redis.keys('*')) if ((await redis.ttl(key)) === -1) lasting.push(key)
    assert.deepEqual(lasting.toSorted(), [keys.jobs, keys.workers, keys.seen].toSorted())
  })

  await t.test('SIGTERM answers what is open, refuses what is new, and leaves an event-loop report', async () => {
    // Stopped, so that all of them are open when the signal comes.
    for (const worker of system.workers) worker.signal('SIGSTOP')
    const open = many(40, 40, () => system.predict(fixture('cat.png')))
    await until('all are open', async () => (await metric(system, 'streamsight_open_requests')) === 40)
    system.gateway.signal('SIGTERM')
    await system.gateway.untilLog('it drains', ({ event }) => event === 'drain')
    // One that slips in just before is open like the others: it gives up and asks again.
    const refused = () =>
      system.predict(fixture('cat.png'), { signal: AbortSignal.timeout(500) }).catch(() => undefined)
    await until('it refuses what is new', async () => (await refused())?.body.error?.code === 'SHUTTING_DOWN')
    for (const worker of system.workers) worker.signal('SIGCONT')
    assert.deepEqual([...new Set((await open).map(({ status }) => status))], [200])
    assert.equal(await system.gateway.exited(), 0)
    for (const worker of system.workers) assert.equal(await worker.stop(), 0)
    for (const { lines } of [system.gateway, ...system.workers]) {
      const stop = lines.find(({ event }) => event === 'stop')
      assert.ok(stop, 'it logged that it stopped')
      assert.deepEqual(Object.keys(stop['eventLoopDelay'] as object), ['p50Ms', 'p99Ms', 'maxMs'])
    }
  })
})

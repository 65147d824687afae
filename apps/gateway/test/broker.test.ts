import assert from 'node:assert/strict'
import { after, before, test, type TestContext } from 'node:test'
import { isIntact, type Consumer } from '@streamsight/protocol'
import { createLogger } from '@streamsight/service'
import { failure, openLab, readOne, success } from '../../../packages/protocol/test/lab.ts'
import { startFaultProxy } from '../../../packages/protocol/test/proxy.ts'
import { startRedis } from '../../../scripts/redis.js'
import { until } from '../../../test/support/until.ts'
import { createBroker, type Broker, type Order } from '../src/requests/broker.ts'

let redis: Awaited<ReturnType<typeof startRedis>>

before(async () => {
  redis = await startRedis()
})
after(() => redis.stop())

const staying = new AbortController().signal

/** Gateways' brokers on one model, and workers where the test asks for them. */
async function open(t: TestContext, { gateways = 1, url = redis.url } = {}) {
  const lab = await openLab(t, redis.url)
  const logged: Array<Record<string, unknown>> = []
  const log = createLogger({ name: 'test', level: 'silent', pretty: false })
  for (const level of ['warn', 'error'] as const)
    log[level] = ((fields: Record<string, unknown>) => void logged.push(fields)) as typeof log.warn
  const brokers = Array.from({ length: gateways }, () =>
    createBroker({ url, prefix: lab.prefix, models: ['everyday'], log })
  ) as [Broker, ...Broker[]]
  for (const broker of brokers) {
    broker.start()
    t.after(() => broker.close())
  }
  await until('all are connected', () => brokers.every(broker => broker.awayMs() === 0))
  return { lab, brokers, logged }
}

function order(fields: Partial<Order> = {}): Order {
  return {
    id: 'the-job',
    model: 'everyday',
    image: Buffer.from('a picture'),
    format: 'jpeg',
    topK: 5,
    timeoutMs: 20_000,
    maxDepth: 100,
    ...fields
  }
}

/** The next job, whatever was wiped before. */
async function take(worker: Consumer) {
  return await until('a job is there', async () => {
    await worker.ensureGroup()
    return (await worker.read(1, assert.ifError).catch(() => []))[0]
  })
}

test('C8: the bytes and their fingerprint reach the worker together', async t => {
  const { lab, brokers } = await open(t)
  const worker = await lab.worker('a')
  const answer = brokers[0].classify(order(), staying)
  const delivery = await take(worker)
  assert.equal(isIntact(delivery.job), true)
  assert.equal(isIntact({ ...delivery.job, image: Buffer.from('b picture') }), false)
  await worker.finish(delivery, success('the-job'))
  assert.equal((await answer).status, 'ok')
})

test('B4: a refusal that will not pass ends each request at once, and is logged once with its cause', async t => {
  const { lab, brokers, logged } = await open(t)
  await lab.redis.set(lab.keys.jobs, 'not a stream')
  for (let i = 0; i < 3; i++) {
    await assert.rejects(brokers[0].classify(order({ id: `job-${i}` }), staying), error => {
      assert.equal((error as { code: string }).code, 'BROKER_UNAVAILABLE')
      assert.match(String((error as Error).cause), /WRONGTYPE/)
      return true
    })
  }
  const lines = logged.filter(({ event }) => event === 'step-failed')
  assert.equal(lines.length, 1)
  assert.match(String(lines[0]?.['err']), /WRONGTYPE/)
})

test('B5: out of memory is called that', async t => {
  const { lab, brokers } = await open(t)
  await lab.redis.configSet('maxmemory', '1')
  try {
    await assert.rejects(brokers[0].classify(order(), staying), { code: 'OVERLOADED', message: /out of memory/ })
    assert.equal(brokers[0].isOutOfMemory(), true)
  } finally {
    await lab.redis.configSet('maxmemory', '0')
  }
})

test('B6: two FLUSHALLs and one dead worker leave an innocent picture with two deliveries', async t => {
  const { lab, brokers } = await open(t)
  const [first, second] = [await lab.worker('a'), await lab.worker('b')]
  const answer = brokers[0].classify(order(), staying)
  for (let i = 0; i < 2; i++) {
    await take(first)
    await lab.redis.flushAll()
  }
  const held = await take(first)
  assert.equal(held.deliveries, 1)
  const again = await second.claim({ entry: held.entry, consumer: 'a', idleMs: 0, deliveries: 1 }, 0)
  assert.equal(again?.deliveries, 2)
  await second.finish(again, success('the-job'))
  assert.equal((await answer).status, 'ok')
})

test('B6: workers that fell silent are counted although Redis forgets the job', async t => {
  const { lab, brokers } = await open(t)
  const [first, second] = [await lab.worker('a'), await lab.worker('b')]
  const answer = brokers[0].classify(order(), staying)
  const { entry } = await take(first)
  await second.claim({ entry, consumer: 'a', idleMs: 0, deliveries: 1 }, 0)
  // A check must have seen that it changed hands.
  await until('the next check has run', checksOf(lab.redis, 2))
  await lab.redis.flushAll()
  const held = await take(first)
  assert.equal(held.deliveries, 2)
  await first.finish(held, success('the-job'))
  await answer
})

/** True once Redis has run `count` more checks. */
function checksOf(raw: Awaited<ReturnType<typeof openLab>>['redis'], count: number): () => Promise<boolean> {
  let before: number | undefined
  return async () => {
    const [, calls = '0'] = /cmdstat_xinfo\|groups:calls=(\d+)/.exec(await raw.info('commandstats')) ?? []
    before ??= Number(calls)
    return Number(calls) >= before + count
  }
}

test('B7: each who waits for a job has a deadline of its own, and the later one counts', async t => {
  const { lab, brokers } = await open(t, { gateways: 2 })
  const worker = await lab.worker('a')
  const first = assert.rejects(brokers[0].classify(order({ timeoutMs: 1_000 }), staying), { code: 'DEADLINE_EXCEEDED' })
  const stale = await take(worker)
  const joined = brokers.map(broker => broker.classify(order(), staying))
  await until('the other gateway waits too', async () => (await lab.redis.hLen(lab.keys.job('the-job'))) === 4)
  await first
  await worker.finish(stale, failure('the-job', 'DEADLINE_EXCEEDED'))
  const fresh = await take(worker)
  assert.ok(fresh.job.ttlMs > 10_000, `${fresh.job.ttlMs}`)
  await worker.finish(fresh, success('the-job'))
  for (const answer of joined) assert.equal((await answer).status, 'ok')
})

test('B8: the same id with another picture is refused here and on another gateway', async t => {
  const { lab, brokers } = await open(t, { gateways: 2 })
  const worker = await lab.worker('a')
  const answer = brokers[0].classify(order(), staying)
  const delivery = await take(worker)
  for (const broker of brokers)
    await assert.rejects(broker.classify(order({ image: Buffer.from('another') }), staying), {
      code: 'IDEMPOTENCY_MISMATCH',
      statusCode: 422
    })
  await worker.finish(delivery, success('the-job'))
  await answer
})

test('B9: a client that leaves one gateway takes the job from nobody who waits at the other', async t => {
  const { lab, brokers } = await open(t, { gateways: 2 })
  const [leaving, staying2] = [new AbortController(), new AbortController()]
  const left = assert.rejects(brokers[0].classify(order(), leaving.signal))
  await until('it is queued', async () => (await lab.producer.depth()) === 1)
  const answer = (brokers[1] as Broker).classify(order(), staying2.signal)
  await until('both wait', async () => (await lab.redis.hLen(lab.keys.job('the-job'))) === 4)
  leaving.abort(new Error('the client left'))
  await left
  await until('one waits', async () => (await lab.redis.hLen(lab.keys.job('the-job'))) === 3)
  assert.equal(await lab.producer.depth(), 1)
  const worker = await lab.worker('a')
  await worker.finish(await readOne(worker), success('the-job'))
  assert.equal((await answer).status, 'ok')
})

test('B3: a link that is full is told apart from a Redis that is away, and carries each image once', async t => {
  const proxy = await startFaultProxy(t, redis.port)
  const { lab, brokers } = await open(t, { url: proxy.url })
  const broker = brokers[0]
  proxy.set({ kind: 'slow', bytesPerSecond: 1_500_000 })
  const before = proxy.uploadedBytes
  const images = Array.from({ length: 24 }, (_, i) => Buffer.alloc(250_000, i))
  const waiting = images.map((image, i) => {
    const client = new AbortController()
    const answer = broker.classify(order({ id: `job-${i}`, image }), client.signal)
    answer.catch(() => {})
    return client
  })
  t.after(() => waiting.forEach(client => client.abort(new Error('the test is over'))))
  await until('it is known how long images wait here', () => broker.uploadWaitMs() > 0)
  assert.ok(broker.uploadWaitMs() < 30_000, `${broker.uploadWaitMs()}`)
  await until('all are queued', async () => {
    assert.equal(broker.awayMs(), 0)
    return (await lab.producer.depth()) === images.length
  })
  const uploads = (proxy.uploadedBytes - before) / 250_000
  assert.ok(uploads < images.length + 1, `${uploads} uploads of ${images.length} images`)
})

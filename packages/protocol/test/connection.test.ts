import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test, type TestContext } from 'node:test'
import { AwayError, createProducer, isPassing, keysOf, limits, type Log } from '@streamsight/protocol'
import { startRedis } from '../../../scripts/redis.js'
import { openRedis } from '../../../test/support/redis.ts'
import { until } from '../../../test/support/until.ts'
import { connect, jobOf } from './lab.ts'
import { startFaultProxy } from './proxy.ts'

/** A log that keeps the events. */
function recorder() {
  const events: unknown[] = []
  const record = (fields: object) => {
    events.push('event' in fields ? fields.event : fields)
  }
  const log: Log = { info: record, warn: record, error: record }
  return { events, log }
}

test('an outage fails calls at once, is logged in two lines, and ends by itself', async t => {
  const { events, log } = recorder()
  const before = await startRedis()
  t.after(before.stop)
  const connection = await connect(t, before.url, { log })
  await before.stop()
  await until('half a second without Redis', () => connection.awayMs() > 500)
  const producer = createProducer({
    commands: connection,
    uploads: connection,
    keys: keysOf('t', 'everyday'),
    gateway: 'g'
  })
  await assert.rejects(producer.enqueue(jobOf('t'), 1), AwayError)

  const after = await startRedis({ port: before.port })
  t.after(after.stop)
  await until('the connection is back', () => connection.isConnected())
  assert.deepEqual(await producer.enqueue(jobOf('t'), 1), { state: 'queued' })
  assert.deepEqual(events, ['redis-away', 'redis-back'])
})

test('a socket that ends while its channels are restored leaves one connection behind, not several', async t => {
  const redis = await startRedis()
  t.after(redis.stop)
  const proxy = await startFaultProxy(t, redis.port)
  const direct = await openRedis(t, redis.url)
  const { events, log } = recorder()
  const connection = await connect(t, proxy.url, { name: 'restored', log })
  await connection.subscribe('channel', () => {})
  const own = async () => (await direct.clientList()).filter(({ name }) => name === 'restored')

  proxy.set({ kind: 'endsAt', command: 'subscribe' })
  const before = proxy.connections
  await direct.sendCommand(['CLIENT', 'KILL', 'ID', String((await own())[0]?.id)])
  await until('several sockets ended too early', () => proxy.connections - before >= 4)
  proxy.set({ kind: 'none' })
  await until('the connection is back', () => connection.isConnected())
  // Longer than the longest pause between two attempts.
  const afterMs = performance.now() + 1_000
  await until('others would have come', async () => performance.now() > afterMs && (await own()).length >= 1)
  assert.equal((await own()).length, 1)
  assert.deepEqual(events, ['redis-away', 'redis-back'])
})

test('a connection that is closed while its channels are restored is closed', async t => {
  const redis = await startRedis()
  t.after(redis.stop)
  const proxy = await startFaultProxy(t, redis.port)
  const direct = await openRedis(t, redis.url)
  const connection = await connect(t, proxy.url, { name: 'closed' })
  await connection.subscribe('channel', () => {})
  const own = async () => (await direct.clientList()).filter(({ name }) => name === 'closed')

  proxy.set({ kind: 'keeps', command: 'subscribe' })
  const [first] = await own()
  await direct.sendCommand(['CLIENT', 'KILL', 'ID', String(first?.id)])
  await until('another socket is there', async () => (await own()).some(({ id }) => id !== first?.id))
  connection.destroy()
  await until('it is closed', async () => (await own()).length === 0, limits.replyOverdueMs / 2)
  proxy.set({ kind: 'none' })
  assert.equal(connection.isConnected(), false)
})

test('what no Redis will answer differently is told from what passes', () => {
  const replies = ['BUSY', 'LOADING', 'MASTERDOWN', 'MISCONF', 'OOM command not allowed', 'READONLY', 'NOGROUP']
  for (const text of replies) assert.equal(isPassing(new Error(`${text} x`)), true, text)
  for (const text of ['NOPERM', 'WRONGTYPE', 'ERR unknown command', 'BUSYGROUP'])
    assert.equal(isPassing(new Error(`${text} x`)), false, text)
  assert.equal(isPassing(new TypeError('x is not a function')), false)
  assert.equal(isPassing(new AwayError('x')), true)
})

const errors = [
  'BUSY Redis is busy running a script',
  'LOADING Redis is loading the dataset in memory',
  'MISCONF Errors writing to the AOF file',
  "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
  'NOPERM this user has no permissions',
  'OOM command not allowed'
]
/** Each has a Redis and a proxy of its own, and waits for seconds. */
void describe('behind a proxy', { concurrency: 8 }, () => {
  for (const error of errors) {
    test(`B1: ${error.split(' ')[0]} in reply to PING and to all else is an answer`, async t => {
      const { proxy, connection, events } = await openBehindProxy(t)
      proxy.set({ kind: 'answers', error })
      const endMs = performance.now() + 3 * limits.pingIntervalMs
      await until('a few pings are answered', async () => {
        assert.equal(connection.awayMs(), 0)
        await assert.rejects(connection.timeMs(), { message: error })
        return performance.now() > endMs
      })
      proxy.set({ kind: 'none' })
      assert.ok((await connection.timeMs()) > 0)
      assert.deepEqual([events, proxy.connections], [[], 1])
    })
  }

  for (const direction of ['toServer', 'toClient'] as const) {
    for (const everyMs of [1_000, 100, 25]) {
      test(`B2: half-open ${direction} under a command every ${everyMs} ms is noticed and healed`, async t => {
        const { proxy, connection, events } = await openBehindProxy(t)
        proxy.set({ kind: 'halfOpen', direction })
        const startedMs = performance.now()
        const traffic = setInterval(() => void connection.timeMs().catch(() => {}), everyMs)
        t.after(() => clearInterval(traffic))
        await until(
          'it is away before its socket is given up',
          () => connection.awayMs() > 0 && connection.isConnected()
        )
        await until('it works again', () => connection.timeMs().catch(() => 0))
        const tookMs = performance.now() - startedMs
        assert.ok(tookMs > limits.replyLateMs && tookMs < 2 * limits.replyOverdueMs, `${tookMs} ms`)
        assert.deepEqual(events, ['redis-away', 'redis-back'])
      })
    }
  }

  test('B2: a half-open subscriber without any traffic is noticed, healed, and hears again', async t => {
    const { proxy, connection, redis } = await openBehindProxy(t)
    const messages: string[] = []
    await connection.subscribe('channel', message => void messages.push(message))
    proxy.set({ kind: 'halfOpen', direction: 'toClient' })
    await until('it is away', () => connection.awayMs() > 0)
    await until('it is back', () => connection.awayMs() === 0 && proxy.connections > 1)
    await redis.publish('channel', 'hello')
    await until('it hears', () => messages.length > 0)
    assert.deepEqual(messages, ['hello'])
  })

  test('a reply that is late because a large image is still on its way is no absence', async t => {
    const { proxy, connection, redis, events } = await openBehindProxy(t)
    const { keys, image } = { keys: keysOf('t', 'everyday'), image: randomBytes(3_000_000) }
    const producer = createProducer({ commands: connection, uploads: connection, keys, gateway: 'g' })
    proxy.set({ kind: 'slow', bytesPerSecond: 500_000 })
    assert.deepEqual(await producer.enqueue(jobOf('t', { image }), 10), { state: 'queued' })
    assert.deepEqual([await redis.xLen(keys.jobs), events, proxy.connections], [1, [], 1])
    const rate = connection.uploadBytesPerSecond() ?? 0
    assert.ok(rate > 200_000 && rate < 1_500_000, `${rate} B/s`)
  })

  test('a slow script costs patience and nothing else', async t => {
    const { connection, redis, events } = await openBehindProxy(t)
    await redis.configSet('busy-reply-threshold', '500')
    const script = redis.eval("local t = redis.call('TIME')[1] while redis.call('TIME')[1] - t < 3 do end return 1")
    await assert.rejects(
      until('BUSY', async () => {
        await connection.timeMs()
      }),
      /BUSY/
    )
    assert.equal(connection.awayMs(), 0)
    await script
    await connection.timeMs()
    assert.deepEqual(events, [])
  })
})

async function openBehindProxy(t: TestContext) {
  const server = await startRedis()
  t.after(() => server.stop())
  const proxy = await startFaultProxy(t, server.port)
  const { events, log } = recorder()
  const connection = await connect(t, proxy.url, { log })
  return { proxy, connection, events, redis: await openRedis(t, server.url) }
}

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AwayError, createProducer, keysOf, type Log } from '@streamsight/protocol'
import { startRedis } from '../../../scripts/redis.js'
import { until } from '../../../test/support/until.ts'
import { connect, jobOf } from './lab.ts'

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

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createProducer, keysOf, TimeoutError, within, type Log } from '@streamsight/protocol'
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

test('what never answers is given up, by name', async () => {
  await assert.rejects(
    within(1, 'PING', new Promise(() => {})),
    error =>
      error instanceof TimeoutError &&
      error.code === 'TIMEOUT' &&
      error.message === 'PING: no answer from Redis within 1 ms'
  )
})

test('what answers in time is passed on, an error too', async () => {
  assert.equal(await within(20_000, 'PING', Promise.resolve('PONG')), 'PONG')
  await assert.rejects(within(20_000, 'PING', Promise.reject(new Error('no'))), { message: 'no' })
})

test('an outage fails calls at once, is logged in two lines, and ends by itself', async t => {
  const { events, log } = recorder()
  const before = await startRedis()
  t.after(before.stop)
  const connection = await connect(t, before.url, log)
  let attempts = 0
  connection.on('reconnecting', () => {
    attempts++
  })
  await before.stop()
  await until('three attempts to reconnect', () => attempts >= 3)
  const producer = createProducer(connection, keysOf('t', 'everyday'))
  await assert.rejects(producer.enqueue(jobOf('t'), 1), error => !(error instanceof TimeoutError))

  const after = await startRedis({ port: before.port })
  t.after(after.stop)
  await until('the connection is back', () => connection.isReady)
  assert.deepEqual(await producer.enqueue(jobOf('t'), 1), { state: 'queued' })
  assert.deepEqual(events, ['redis-away', 'redis-back'])
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createClient } from 'redis'
import { startRedis } from '../../scripts/redis.js'
import { redisErrors, startProxy } from './proxy.ts'

test('the proxy answers in Redis’ place, each request in its turn, and passes on the rest unchanged', async t => {
  const redis = await startRedis()
  t.after(() => redis.stop())
  const proxy = await startProxy(redis.port)
  t.after(() => proxy.stop())
  const client = createClient({ url: proxy.url, RESP: 3 })
  client.on('error', () => {})
  await client.connect()
  t.after(() => client.destroy())

  const image = Buffer.alloc(3_000_000, '\r\n$5')
  proxy.answer({ error: redisErrors.BUSY, commands: ['PING'] })
  const answers = await Promise.allSettled([
    client.ping(),
    client.set('image', image),
    client.ping(),
    client.hSet('hash', { a: '1', b: '2' }),
    client.hGetAll('hash'),
    client.ping()
  ])
  assert.deepEqual(
    answers.map(answer => (answer.status === 'fulfilled' ? JSON.stringify(answer.value) : answer.reason.message)),
    [redisErrors.BUSY, '"OK"', redisErrors.BUSY, '2', '{"a":"1","b":"2"}', redisErrors.BUSY]
  )
  assert.equal(await client.get('image'), image.toString())
  assert.equal(proxy.counts.commands.get('PING'), 3)

  proxy.heal()
  assert.equal(await client.ping(), 'PONG')
})

test('the proxy keeps the turn of a SUBSCRIBE, which Redis confirms unasked', async t => {
  const redis = await startRedis()
  t.after(() => redis.stop())
  const proxy = await startProxy(redis.port)
  t.after(() => proxy.stop())
  const client = createClient({ url: proxy.url, RESP: 3 })
  client.on('error', () => {})
  await client.connect()
  t.after(() => client.destroy())

  proxy.answer({ error: redisErrors.LOADING, commands: ['PING'] })
  const heard: string[] = []
  const [subscribed, pinged] = await Promise.allSettled([
    client.subscribe('channel', message => heard.push(message)),
    client.ping()
  ])
  assert.equal(subscribed.status, 'fulfilled')
  assert.equal(pinged.status, 'rejected')
  assert.equal(await client.publish('channel', 'hello'), 1)
  assert.deepEqual(heard, ['hello'])
})

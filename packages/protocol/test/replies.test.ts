import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import { after, before, test, type TestContext } from 'node:test'
import { createReplyChannels, encodeOutcome, type Connection, type Log, type Outcome } from '@streamsight/protocol'
import { startRedis } from '../../../scripts/redis.js'
import { until } from '../../../test/support/until.ts'
import { answered, ask, connect, openLab, silent, success, type Lab } from './lab.ts'

let redis: Awaited<ReturnType<typeof startRedis>>

before(async () => {
  redis = await startRedis()
})
after(() => redis.stop())

async function openChannels(t: TestContext, log: Log = silent) {
  const lab = await openLab(t, redis.url)
  const subscriber = await connect(t, redis.url, { name: 'subscriber' })
  const channels = createReplyChannels({ subscriber, log })
  const received: Outcome[] = []

  return {
    lab,
    subscriber,
    channels,
    received,
    channel: (name: string | number): string => `${lab.prefix}:res:${name}`,
    listen: (channel: string) =>
      channels.listen(channel, outcome => {
        received.push(outcome)
      }),
    publish: (channel: string, text: string) => lab.redis.publish(channel, text),
    /** Channels that Redis knows of. */
    subscribed: () => lab.redis.pubSubChannels(`${lab.prefix}:*`),
    reconnect: () => reconnect(lab, subscriber)
  }
}

type Channels = Awaited<ReturnType<typeof openChannels>>

function killSubscribers({ redis }: Lab): Promise<number> {
  return redis.sendCommand<number>(['CLIENT', 'KILL', 'TYPE', 'pubsub'])
}

function ready(subscriber: Connection): Promise<void> {
  return new Promise(resolve => subscriber.onBack(resolve))
}

async function reconnect({ redis }: Lab, subscriber: Connection): Promise<void> {
  const back = ready(subscriber)
  const clients = await redis.sendCommand<string>(['CLIENT', 'LIST'])
  const [, id = ''] = /^id=(\d+) .* name=subscriber /m.exec(clients) ?? []
  await redis.sendCommand(['CLIENT', 'KILL', 'ID', id])
  await back
}

/**
 * Kills the subscriber's connection when what `work` says to Redis is on its way: a stopped Redis finds the kill first, and
 * never reads the rest.
 */
async function killUnder(
  { lab, subscriber }: Pick<Channels, 'lab' | 'subscriber'>,
  work: () => Promise<unknown>
): Promise<void> {
  const back = ready(subscriber)
  process.kill(redis.pid, 'SIGSTOP')
  const killed = killSubscribers(lab)
  const working = work()
  // node-redis writes in the next turn of the event loop.
  await turn()
  await turn()
  process.kill(redis.pid, 'SIGCONT')
  await Promise.all([killed, working, back])
}

async function openFifty({ channel, listen }: Channels): Promise<string[]> {
  const names = Array.from({ length: 50 }, (_, i) => channel(i))
  await Promise.all(names.map(listen))
  return names
}

/** Nothing but `open` is left, here and in Redis. */
async function untilOpen({ channels, subscribed }: Channels, open: string[]): Promise<void> {
  await until('the stray channels are gone', async () => {
    return channels.size === open.length && (await subscribed()).length === open.length
  })
  assert.deepEqual(await subscribed(), open)
}

test('the outcome published on a channel arrives, once', async t => {
  const { channel, listen, publish, received } = await openChannels(t)
  await listen(channel('a'))
  await publish(channel('b'), encodeOutcome(success('b'), ask))
  assert.equal(await publish(channel('a'), encodeOutcome(success('a'), ask)), 1)
  await until('the outcome arrives', () => received.length > 0)
  assert.deepEqual(received, [answered('a')])
})

test('Redis knows the listener as soon as the channel is open', async t => {
  const { channel, listen, subscribed } = await openChannels(t)
  await listen(channel('a'))
  assert.deepEqual(await subscribed(), [channel('a')])
})

test('a closed channel is gone from Redis', async t => {
  const { channels, channel, listen, subscribed, publish } = await openChannels(t)
  await Promise.all([listen(channel('a')), listen(channel('b'))])
  assert.equal(channels.size, 2)
  await channels.leave(channel('a'))
  assert.deepEqual(await subscribed(), [channel('b')])
  assert.equal(await publish(channel('a'), 'nobody listens'), 0)
  await channels.leave(channel('b'))
  assert.deepEqual(await subscribed(), [])
  assert.equal(channels.size, 0)
})

test('closing a channel twice, or one that was never open, does nothing', async t => {
  const { channels, channel, listen, subscribed } = await openChannels(t)
  await listen(channel('a'))
  await Promise.all([channels.leave(channel('a')), channels.leave(channel('a')), channels.leave(channel('never'))])
  assert.equal(channels.size, 0)
  assert.deepEqual(await subscribed(), [])
})

test('an open channel hears again after a reconnect', async t => {
  const { channel, listen, subscribed, publish, received, reconnect } = await openChannels(t)
  await listen(channel('a'))
  await reconnect()
  await until('subscribed again', async () => (await subscribed()).length === 1)
  await publish(channel('a'), encodeOutcome(success('a'), ask))
  await until('the outcome arrives', () => received.length > 0)
})

test('channels whose UNSUBSCRIBE was lost are gone with their connection, and stay closed', async t => {
  const fixture = await openChannels(t)
  const { channels, subscribed, reconnect } = fixture
  const names = await openFifty(fixture)
  await killUnder(fixture, () => Promise.all(names.map(name => channels.leave(name))))
  await untilOpen(fixture, [])
  await reconnect()
  assert.deepEqual(await subscribed(), [])
})

test('channels closed around the moment the connection is killed are gone, ten times over', async t => {
  const fixture = await openChannels(t)
  const { channels, channel, listen, subscriber, lab, subscribed, reconnect } = fixture
  await listen(channel('kept'))
  for (let round = 0; round < 10; round++) {
    const names = await openFifty(fixture)
    const back = ready(subscriber)
    const closing = names.slice(0, 5 * round).map(name => channels.leave(name))
    const killed = killSubscribers(lab)
    for (let turns = 0; turns < round; turns++) await turn()
    await Promise.all([...closing, ...names.slice(5 * round).map(name => channels.leave(name)), killed, back])
    await untilOpen(fixture, [channel('kept')])
  }
  await reconnect()
  assert.deepEqual(await subscribed(), [channel('kept')])
})

test('a channel whose SUBSCRIBE was lost is refused, and not listened to later', async t => {
  const fixture = await openChannels(t)
  const { channel, listen, channels, reconnect } = fixture
  await listen(channel('a'))
  await killUnder(fixture, () => assert.rejects(listen(channel('b'))))
  await channels.leave(channel('a'))
  await untilOpen(fixture, [])
  await reconnect()
  assert.deepEqual(await fixture.subscribed(), [])
})

test('a channel opened again while it is being closed has its listener', async t => {
  const { channels, channel, listen, subscribed, publish, received } = await openChannels(t)
  await listen(channel('a'))
  const closing = channels.leave(channel('a'))
  await listen(channel('a'))
  await closing
  assert.deepEqual(await subscribed(), [channel('a')])
  await publish(channel('a'), encodeOutcome(success('a'), ask))
  await until('the outcome arrives', () => received.length > 0)
  assert.deepEqual(received, [answered('a')])
  await channels.leave(channel('a'))
  assert.deepEqual(await subscribed(), [])
  assert.equal(channels.size, 0)
})

test('a channel closed while it is being opened again is gone', async t => {
  const { channels, channel, listen, subscribed } = await openChannels(t)
  await listen(channel('a'))
  await Promise.all([channels.leave(channel('a')), listen(channel('a')), channels.leave(channel('a'))])
  assert.deepEqual(await subscribed(), [])
  assert.equal(channels.size, 0)
})

test('a channel that could not be closed, opened again, hears its new listener alone', async t => {
  const fixture = await openChannels(t)
  const { channels, channel, listen, publish, received } = fixture
  const stale: Outcome[] = []
  await channels.listen(channel('a'), outcome => {
    stale.push(outcome)
  })
  await killUnder(fixture, () => channels.leave(channel('a')))
  await listen(channel('a'))
  await publish(channel('a'), encodeOutcome(success('a'), ask))
  await until('the outcome arrives', () => received.length > 0)
  assert.deepEqual([received, stale], [[answered('a')], []])
})

test('a message that is no outcome is dropped and logged, and the next one arrives', async t => {
  const events: object[] = []
  const { channel, listen, publish, received } = await openChannels(t, {
    ...silent,
    error: fields => {
      events.push(fields)
    }
  })
  await listen(channel('a'))
  await publish(channel('a'), '{"v":2}')
  await publish(channel('a'), 'garbage')
  await publish(channel('a'), encodeOutcome(success('a'), ask))
  await until('the outcome arrives', () => received.length > 0)
  assert.deepEqual(received, [answered('a')])
  assert.deepEqual(
    events.map(fields => 'event' in fields && fields.event),
    ['unreadable-outcome', 'unreadable-outcome']
  )
})

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { AwayError, limits, type SeenWorker } from '@streamsight/protocol'
import { createFleet } from '../src/requests/fleet.ts'

test('a gateway that has seen nobody has nobody, and says so', async t => {
  const { fleet } = fleetOf(t)
  assert.equal(fleet.isStaffed(), false)
  await fleet.refresh()
  assert.deepEqual([fleet.isStaffed(), fleet.isStalled(), fleet.ready(), fleet.ratePerSecond()], [false, false, [], 0])
})

test('that Redis refuses to tell is known and told, until it tells again', async t => {
  const { fleet, redis, told } = fleetOf(t)
  redis.error = new Error('BUSY Redis is busy running a script')
  await assert.rejects(fleet.refresh())
  assert.equal(fleet.refusal(), undefined)
  const refusal = (redis.error = new Error('NOPERM this user has no permissions to run zrange'))
  await assert.rejects(fleet.refresh())
  assert.equal(fleet.refusal(), refusal)
  redis.error = undefined
  await fleet.refresh()
  assert.equal(fleet.refusal(), undefined)
  assert.deepEqual(told.slice(1), [refusal, undefined])
})

test('only who is warm and was heard of lately counts', async t => {
  const { fleet, redis } = fleetOf(t)
  redis.workers = [
    worker({ name: 'a', ratePerSecond: 10 }),
    worker({ name: 'b', ratePerSecond: 20, silentMs: limits.workerSeenMs - 1 }),
    worker({ name: 'c', ratePerSecond: 40, silentMs: limits.workerSeenMs }),
    worker({ name: 'd', ratePerSecond: 80, state: 'warming' }),
    worker({ name: 'e', ratePerSecond: 160, state: 'draining' })
  ]
  await fleet.refresh()
  assert.deepEqual(
    fleet.ready().map(({ name }) => name),
    ['a', 'b']
  )
  assert.equal(fleet.ratePerSecond(), 30)
  assert.equal(fleet.workers.length, 5)
})

test('an only worker that restarts is counted on for as long as a restart takes', async t => {
  const { fleet, redis, pass } = fleetOf(t)
  redis.workers = [worker({})]
  await fleet.refresh()
  redis.workers = [worker({ state: 'warming' })]
  pass(limits.workerSeenMs - 1)
  await fleet.refresh()
  assert.deepEqual([fleet.ready(), fleet.isStaffed()], [[], true])
  pass(2)
  assert.equal(fleet.isStaffed(), false)
  redis.workers = [worker({})]
  await fleet.refresh()
  assert.equal(fleet.isStaffed(), true)
})

test('how long a worker has been silent already is counted in', async t => {
  const { fleet, redis, pass } = fleetOf(t)
  redis.workers = [worker({ silentMs: limits.workerSeenMs - 100 })]
  await fleet.refresh()
  assert.equal(fleet.isStaffed(), true)
  pass(101)
  assert.equal(fleet.isStaffed(), false)
})

test('work that waits while nobody finishes any for two leases is stuck', async t => {
  const { fleet, redis, pass } = fleetOf(t)
  redis.workers = [worker({ finished: 5 })]
  redis.depth = 3
  await fleet.refresh()
  pass(2 * limits.leaseMs)
  await fleet.refresh()
  assert.equal(fleet.isStalled(), false)
  pass(1)
  assert.equal(fleet.isStalled(), true)
  redis.workers = [worker({ finished: 6 })]
  await fleet.refresh()
  assert.equal(fleet.isStalled(), false)
})

test('a worker that starts again at nought has made progress', async t => {
  const { fleet, redis, pass } = fleetOf(t)
  redis.workers = [worker({ finished: 5 })]
  redis.depth = 3
  await fleet.refresh()
  pass(2 * limits.leaseMs + 1)
  redis.workers = [worker({ finished: 0 })]
  await fleet.refresh()
  assert.equal(fleet.isStalled(), false)
})

test('a fleet without work is not stuck, however long', async t => {
  const { fleet, redis, pass } = fleetOf(t)
  redis.workers = [worker({})]
  await fleet.refresh()
  pass(1_000_000)
  assert.equal(fleet.isStalled(), false)
  await fleet.refresh()
  redis.depth = 1
  await fleet.refresh()
  assert.equal(fleet.isStalled(), false)
})

test('as many jobs may wait as the fleet does in half a deadline', async t => {
  const { fleet, redis } = fleetOf(t, { requestTimeoutMs: 30_000, maxQueueDepth: 1_000 })
  assert.equal(fleet.maxDepth(), 1_000, 'nothing is known yet')
  redis.workers = [worker({ ratePerSecond: 7, maxBatch: 2 }), worker({ name: 'b', ratePerSecond: 3.5, maxBatch: 2 })]
  await fleet.refresh()
  assert.equal(fleet.maxDepth(), Math.floor(10.5 * 15))
  redis.workers = [worker({ ratePerSecond: 10_000 })]
  await fleet.refresh()
  assert.equal(fleet.maxDepth(), 1_000, 'never more than the setting')
  redis.workers = [worker({ ratePerSecond: 0.1, maxBatch: 8 }), worker({ name: 'b', ratePerSecond: 0.1, maxBatch: 4 })]
  await fleet.refresh()
  assert.equal(fleet.maxDepth(), 4, 'but two for everyone')
})

test('how long the queue lasts is told by what waits and what the fleet does', async t => {
  const { fleet, redis } = fleetOf(t)
  assert.equal(fleet.queueMs(), undefined, 'nobody is there to say')
  redis.workers = [worker({ ratePerSecond: 10 })]
  redis.depth = 95
  await fleet.refresh()
  assert.equal(fleet.queueMs(), 9_500)
})

test('what this gateway added or got back since it looked is counted in at once', async t => {
  const { fleet, redis } = fleetOf(t)
  redis.depth = 3
  redis.own = 2
  await fleet.refresh()
  assert.equal(fleet.depth, 3)
  redis.own = 6
  assert.equal(fleet.depth, 7)
  redis.own = 0
  assert.equal(fleet.depth, 1)
})

test('B11: it looks often until it has seen the workers once, and says when it has', async t => {
  const { fleet, redis } = fleetOf(t)
  redis.away = true
  await assert.rejects(fleet.refresh())
  assert.equal(fleet.isKnown(), false)
  redis.away = false
  await fleet.refresh()
  assert.equal(fleet.isKnown(), true)
  await fleet.untilKnown()
})

test('time in which nobody could look does not count against the workers', async t => {
  const { fleet, redis, pass } = fleetOf(t)
  redis.workers = [worker({})]
  await fleet.refresh()
  redis.away = true
  for (let i = 0; i < 100; i++) {
    pass(1_000)
    await assert.rejects(fleet.refresh())
  }
  assert.equal(fleet.isStaffed(), true)
  redis.away = false
  redis.workers = [worker({ silentMs: 100_000 })]
  await fleet.refresh()
  assert.equal(fleet.isStaffed(), true, 'they may not have had the time to say that they live')
  pass(limits.workerSeenMs)
  await fleet.refresh()
  assert.equal(fleet.isStaffed(), false)
})

test('what was known stays known while Redis is away', async t => {
  const { fleet, redis } = fleetOf(t)
  redis.workers = [worker({})]
  redis.depth = 4
  await fleet.refresh()
  redis.away = true
  await assert.rejects(fleet.refresh())
  assert.deepEqual([fleet.ready().length, fleet.depth, fleet.isStaffed()], [1, 4, true])
})

test('it looks by itself, again and again, whether Redis answers or not, until it is stopped', async t => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const { fleet, redis } = fleetOf(t)
  await fleet.refresh()
  redis.looks = 0
  const settled = async () => {
    for (let i = 0; i < 20; i++) await Promise.resolve()
  }
  fleet.start()
  for (const [away, looks] of [
    [false, 1],
    [true, 2],
    [false, 3]
  ] as const) {
    redis.away = away
    t.mock.timers.tick(limits.heartbeatMs)
    await settled()
    assert.equal(redis.looks, looks)
  }
  fleet.stop()
  t.mock.timers.tick(10 * limits.heartbeatMs)
  await settled()
  assert.equal(redis.looks, 3)
})

test('a look that is under way when it is stopped is the last one', async t => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const { fleet, redis } = fleetOf(t)
  fleet.start()
  t.mock.timers.tick(1)
  assert.equal(redis.looks, 1)
  fleet.stop()
  for (let i = 0; i < 20; i++) await Promise.resolve()
  t.mock.timers.tick(10 * limits.heartbeatMs)
  assert.equal(redis.looks, 1)
})

/** A fleet that sees what the test puts into `redis`, on a clock that only `pass` moves. */
function fleetOf(t: TestContext, options = { requestTimeoutMs: 30_000, maxQueueDepth: 1_000 }) {
  let nowMs = 1_000_000
  t.mock.method(performance, 'now', () => nowMs)
  const redis = {
    workers: [] as SeenWorker[],
    depth: 0,
    own: 0,
    away: false,
    looks: 0,
    error: undefined as Error | undefined
  }
  const told: unknown[] = []
  const answer = async <T>(value: T): Promise<T> => {
    if (redis.away) throw new AwayError('away')
    if (redis.error !== undefined) throw redis.error
    return value
  }
  const reads = {
    readWorkers: () => {
      redis.looks++
      return answer(redis.workers)
    },
    readDepth: () => answer(redis.depth),
    ownDepth: () => redis.own,
    looked: (error?: unknown) => void told.push(error)
  }
  return {
    fleet: createFleet({ ...reads, ...options }),
    redis,
    told,
    pass: (ms: number) => {
      nowMs += ms
    }
  }
}

function worker(differences: Partial<SeenWorker>): SeenWorker {
  return {
    name: 'a',
    pid: 1,
    state: 'ready',
    model: { name: 'everyday', version: '1', classes: 10, width: 32, height: 32, about: '' },
    engine: 'onnx-cpu',
    precision: 'float32',
    precisionReason: 'exact: no VNNI',
    latency: { aMs: 1, bMs: 1 },
    maxBatch: 4,
    ratePerSecond: 100,
    held: 0,
    finished: 0,
    silentMs: 0,
    ...differences
  }
}

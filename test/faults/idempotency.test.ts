import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TestContext } from 'node:test'
import { keysOf } from '@streamsight/protocol'
import { temporaryFolder } from '../support/folder.ts'
import { startGateway } from './gateway.ts'
import type { Redis } from '../support/redis.ts'
import { fixture, startSystem, type Answer, type System } from '../support/system.ts'
import { until } from '../support/until.ts'
import { fault } from './fault.ts'
import { hooked } from './marks.js'
import { assertQuiet, metric } from './oracle.ts'
import { connected } from './redis.ts'

fault('B6. Redis forgets a job twice before a worker has it, and one worker dies: the image is innocent', async t => {
  const file = join(temporaryFolder(t), 'crash')
  const system = await startSystem(t, {
    workerArgs: hooked,
    restart: true,
    workerEnv: { CRASH_POINT: 'before-decode', CRASH_ONCE_FILE: file }
  })
  const redis = await connected(t, system)
  await stopWorker(system, redis)
  const answer = system.predict(fixture('ship.jpg'))
  const { jobs } = keysOf(system.prefix, 'everyday')
  for (let i = 0; i < 2; i++) {
    await until('the job is on the stream', async () => (await redis.xLen(jobs)) === 1)
    await redis.flushAll()
  }
  await until('the job is on the stream again', async () => (await redis.xLen(jobs)) === 1)
  writeFileSync(file, '')
  system.workers[0]?.signal('SIGCONT')
  assertShip(await answer)
  assert.equal(system.workers[0]?.starts, 2, 'it died once')
  await assertQuiet(system)
})

fault('B7. a retry has its own deadline, not that of the attempt that died', async t => {
  const { system, key, first, second } = await startTwo(t, { REQUEST_TIMEOUT_MS: '8000' })
  const redis = await connected(t, system)
  await stopWorker(system, redis)
  const begunMs = performance.now()
  await abandon(first, key)
  await sleep(5_000)
  const retry = second.predict(fixture('ship.jpg'), key)
  await until('the first attempt’s deadline is over', () => performance.now() > begunMs + 9_500)
  system.workers[0]?.signal('SIGCONT')
  assertShip(await retry)
  await assertQuiet({ ...system, url: second.url })
})

fault('B7. a retry is not answered with the expired deadline of the attempt that died', async t => {
  const { system, key, first, second } = await startTwo(t, { REQUEST_TIMEOUT_MS: '3000' })
  const redis = await connected(t, system)
  const { jobs } = keysOf(system.prefix, 'everyday')
  await stopWorker(system, redis)
  await abandon(first, key)
  await sleep(3_500)
  system.workers[0]?.signal('SIGCONT')
  await until('a worker dropped what had expired', async () => (await redis.xLen(jobs)) === 0)
  assertShip(await second.predict(fixture('ship.jpg'), key))
  await assertQuiet({ ...system, url: second.url })
})

fault('B8. the same key with another picture is refused, on any gateway, open or answered', async t => {
  const system = await startSystem(t, { workerArgs: hooked, workerEnv: { SLOW_MS: '1000' } })
  const other = await startGateway(t, system)
  await other.untilReady()
  const key = keyOf()
  const first = system.predict(fixture('ship.jpg'), key)
  await until('it is open', async () => (await metric(system, 'streamsight_open_requests')) === 1)
  const open = await Promise.all([system, other].map(({ predict }) => predict(fixture('dog.jpg'), key)))
  assertShip(await first)
  const answered = await Promise.all([system, other].map(({ predict }) => predict(fixture('dog.jpg'), key)))
  for (const { status, body } of [...open, ...answered]) {
    assert.equal(status, 422, JSON.stringify(body))
    assert.equal(body.error?.code, 'IDEMPOTENCY_MISMATCH')
  }
  for (const { predict } of [system, other]) assertShip(await predict(fixture('ship.jpg'), key))
  await assertQuiet(system)
  await assertQuiet({ ...system, url: other.url })
})

fault('B9. one key on two gateways: the client that leaves one does not take the other’s answer', async t => {
  const system = await startSystem(t, { workerArgs: hooked, workerEnv: { SLOW_MS: '1500', BATCH_MAX_SIZE: '1' } })
  const other = await startGateway(t, system)
  await other.untilReady()
  const redis = await connected(t, system)
  const { jobs } = keysOf(system.prefix, 'everyday')
  const busy = [system.predict(fixture('cat.png')), system.predict(fixture('cat.png'))]
  await until('the worker is busy', async () => (await redis.xLen(jobs)) === 2)

  const key = keyOf()
  const controller = new AbortController()
  const leaves = system.predict(fixture('ship.jpg'), { ...key, signal: controller.signal }).catch(() => 'left')
  const stays = other.predict(fixture('ship.jpg'), key)
  await until('both wait', async () => (await metric(other, 'streamsight_open_requests')) === 1)
  await until('the job is on the stream', async () => (await redis.xLen(jobs)) === 3)
  controller.abort()
  assert.equal(await leaves, 'left')
  assertShip(await stays)
  for (const { status } of await Promise.all(busy)) assert.equal(status, 200)
  assert.equal((await redis.xInfoStream(jobs))['entries-added'], 3, 'it kept its place: nobody had to enqueue it again')
  await assertQuiet(system)
  await assertQuiet({ ...system, url: other.url })
  await until('all are in the log', () => jobsDone(system) >= 3)
  assert.equal(jobsDone(system), 3, 'no second inference')
})

fault('B9. one key on two gateways: when both clients leave, the job goes too', async t => {
  const system = await startSystem(t, { workerArgs: hooked, workerEnv: { SLOW_MS: '1500', BATCH_MAX_SIZE: '1' } })
  const other = await startGateway(t, system)
  await other.untilReady()
  const redis = await connected(t, system)
  const { jobs } = keysOf(system.prefix, 'everyday')
  const busy = [system.predict(fixture('cat.png')), system.predict(fixture('cat.png'))]
  await until('the worker is busy', async () => (await redis.xLen(jobs)) === 2)

  const controller = new AbortController()
  const options = { ...keyOf(), signal: controller.signal }
  const both = [system, other].map(({ predict }) => predict(fixture('ship.jpg'), options).catch(() => 'left'))
  await until('both wait', async () => (await metric(other, 'streamsight_open_requests')) === 1)
  await until('the job is on the stream', async () => (await redis.xLen(jobs)) === 3)
  controller.abort()
  assert.deepEqual(await Promise.all(both), ['left', 'left'])
  for (const { status } of await Promise.all(busy)) assert.equal(status, 200)
  await assertQuiet(system)
  await until('both are in the log', () => jobsDone(system) >= 2)
  assert.equal(jobsDone(system), 2, 'nobody waited for the third')
})

/** Two gateways of one system, the first of which may be killed, and a key for one request. */
async function startTwo(t: TestContext, env: Record<string, string>) {
  const system = await startSystem(t, { env, restart: true })
  const [first, second] = [await startGateway(t, system, env), await startGateway(t, system, env)]
  await Promise.all([first.untilReady(), second.untilReady()])
  return { system, first, second, key: keyOf() }
}

function keyOf(): { headers: { 'idempotency-key': string } } {
  return { headers: { 'idempotency-key': randomUUID() } }
}

/** A first attempt whose gateway dies once the job is on the stream: nobody is left to take it off. */
async function abandon(
  gateway: Awaited<ReturnType<typeof startGateway>>,
  key: ReturnType<typeof keyOf>
): Promise<void> {
  const attempt = gateway.predict(fixture('ship.jpg'), key).catch(() => 'died')
  await until('it is open', async () => (await metric(gateway, 'streamsight_open_requests')) === 1)
  await sleep(200)
  await gateway.process.stop('SIGKILL')
  assert.equal(await attempt, 'died')
}

/** Stops the only worker where it asks Redis for nothing, so that nothing is delivered to it. */
async function stopWorker(system: System, redis: Redis): Promise<void> {
  system.workers[0]?.signal('SIGSTOP')
  await until('no read is open', async () => /^blocked_clients:0\r$/m.test(String(await redis.info('clients'))))
}

function assertShip({ status, body }: Answer): void {
  assert.equal(status, 200, JSON.stringify(body))
  assert.equal(body.predictions?.[0]?.label, 'ship')
}

function jobsDone({ workers }: System): number {
  return workers.flatMap(({ lines }) => lines).filter(({ event }) => event === 'job').length
}

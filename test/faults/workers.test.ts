import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { keysOf } from '@streamsight/protocol'
import { temporaryFolder } from '../support/folder.ts'
import { openRedis } from '../support/redis.ts'
import { twoModels } from '../support/models.ts'
import { fixture, fixtures, startSystem, type System } from '../support/system.ts'
import { until } from '../support/until.ts'
import { fault, quickFault } from './fault.ts'
import { hangMark, hooked, marked, poisonMark } from './marks.js'
import { assertHonest, assertQuiet, drive, driveCount } from './oracle.ts'
import { connected } from './redis.ts'

for (const point of ['before-decode', 'after-infer', 'after-finish'] as const) {
  fault(`1. kill -9 of a worker ${point.replace('-', ' ')}: its clients wait, and get their answers`, async t => {
    const file = join(temporaryFolder(t), 'crash')
    const system = await startSystem(t, {
      workerArgs: hooked,
      restart: true,
      workerEnv: { CRASH_POINT: point, CRASH_ONCE_FILE: file }
    })
    const load = driveCount(system, { count: 80, concurrency: 16 })
    await system.workers[0]?.untilLog('work has begun', ({ event }) => event === 'job')
    writeFileSync(file, '')
    assertHonest(await load)
    assert.equal(system.workers[0]?.starts, 2)
    await assertQuiet(system)
  })
}

fault('2. random worker kills for 30 s under load', async t => {
  const system = await startSystem(t, { workers: 3, restart: true })
  const ends = performance.now() + 30_000
  const load = drive(system, { concurrency: 24, until: () => performance.now() > ends })
  while (performance.now() < ends) {
    system.workers[Math.floor(Math.random() * 3)]?.signal('SIGKILL')
    await new Promise(resolve => setTimeout(resolve, 500 + Math.random() * 1_000))
  }
  assertHonest(await load)
  await assertQuiet(system)
})

quickFault('2b. kill -9 of the only worker under load costs its clients a wait and no error', async t => {
  const system = await startSystem(t, { restart: true })
  const load = driveCount(system, { count: 300, concurrency: 32 })
  await system.workers[0]?.untilLog('work has begun', ({ event }) => event === 'job')
  system.workers[0]?.signal('SIGKILL')
  assertHonest(await load)
  await assertQuiet(system)
})

fault('3. a worker stopped past its lease: another answers, and its late outcome is refused', async t => {
  const system = await startSystem(t, { workerArgs: hooked, workerEnv: { SLOW_MS: '500' } })
  const answer = system.predict(fixture('ship.jpg'))
  await untilPending(system, 1)
  system.workers[0]?.signal('SIGSTOP')
  system.addWorker(2)
  const { status, body } = await answer
  assert.equal(status, 200)
  assert.equal(body.predictions?.[0]?.label, 'ship')
  system.workers[0]?.signal('SIGCONT')
  const late = await system.workers[0]?.untilLog('the late outcome was refused', ({ event }) => event === 'job')
  assert.equal(late?.['late'], true)
  await assertQuiet(system)
})

quickFault('15. a poison image among 15 good ones: 15 answers, one 422, one dead letter', async t => {
  const system = await startSystem(t, { workerArgs: hooked, restart: true, env: { ADMIN_TOKEN: 'operator' } })
  const poison = system.predict(marked(fixture('cat.png'), poisonMark))
  const good = Array.from({ length: 15 }, (_, i) => fixtures[i % fixtures.length] as (typeof fixtures)[number])
  const answers = await Promise.all(good.map(async ({ image, label }) => ({ label, ...(await system.predict(image)) })))
  for (const { status, body, label } of answers) {
    assert.equal(status, 200)
    assert.equal(body.predictions?.[0]?.label, label)
  }
  const { status, body } = await poison
  assert.equal(status, 422)
  assert.equal(body.error?.code, 'POISONED_IMAGE')
  assert.equal(system.workers[0]?.starts, 4)
  await assertOneDeadLetter(system, body.requestId)
  await assertQuiet(system)
})

fault('15b. a poison image is given up although Redis forgets it in between', async t => {
  const system = await startSystem(t, { workerArgs: hooked, restart: true })
  const redis = await connected(t, system)
  const poison = system.predict(marked(fixture('cat.png'), poisonMark))
  await until('it was a worker’s end once', () => (system.workers[0]?.starts ?? 0) > 1)
  await redis.flushAll()
  const { status, body } = await poison
  assert.equal(status, 422)
  assert.equal(body.error?.code, 'POISONED_IMAGE')
  assert.ok((system.workers[0]?.starts ?? 0) <= 5)
  await assertQuiet(system)
})

fault('15c. a decoder that hangs: the watchdog ends the worker, and the image is given up', async t => {
  const system = await startSystem(t, { workerArgs: hooked, restart: true, env: { REQUEST_TIMEOUT_MS: '90000' } })
  const hanging = system.predict(marked(fixture('cat.png'), hangMark))
  const { status, body } = await hanging
  assert.equal(status, 422)
  assert.equal(body.error?.code, 'POISONED_IMAGE')
  assert.ok(system.workers[0]?.lines.some(({ event }) => event === 'wedged'))
  assert.equal((await system.predict(fixture('ship.jpg'))).status, 200)
  await assertQuiet(system)
})

fault('15d. an image that takes the worker down for one model costs the other model’s clients nothing', async t => {
  const system = await startSystem(t, {
    workerArgs: hooked,
    restart: true,
    env: { MODELS: 'everyday,loud' },
    workerEnv: { MODELS_DIR: twoModels(t) }
  })
  let over = false
  const poisoned = system.predict(marked(fixture('cat.png'), poisonMark)).finally(() => {
    over = true
  })
  const others = Promise.all(
    Array.from({ length: 8 }, async () => {
      const statuses: number[] = []
      while (!over) statuses.push((await system.predict(fixture('ship.jpg'), { query: '?model=loud' })).status)
      return statuses
    })
  )
  assert.equal((await poisoned).body.error?.code, 'POISONED_IMAGE')
  const statuses = (await others).flat()
  assert.ok(statuses.length > 0)
  assert.deepEqual([...new Set(statuses)], [200])
})

fault('20. workers whose clocks are a minute wrong drop nothing', async t => {
  const system = await startSystem(t, { workers: 0 })
  for (const [slot, skew] of [
    [1, '60000'],
    [2, '-60000']
  ] as const)
    system.addWorker(slot, { args: hooked, env: { CLOCK_SKEW_MS: skew } })
  await system.untilReady()
  assertHonest(await driveCount(system, { count: 100, concurrency: 10 }))
  assert.ok(system.workers.every(({ lines }) => lines.some(({ event }) => event === 'job')))
  await assertQuiet(system)
})

fault('21. a rolling restart of all workers under load: no error', async t => {
  const system = await startSystem(t, { workers: 2 })
  let rolled = false
  const load = drive(system, { concurrency: 16, until: () => rolled })
  for (const slot of [1, 2]) {
    assert.equal(await system.workers[slot - 1]?.stop('SIGTERM'), 0)
    await system.addWorker(slot).untilLog('the new one is ready', ({ event }) => event === 'ready')
  }
  rolled = true
  assertHonest(await load)
  await assertQuiet(system)
})

async function untilPending(system: System, count: number): Promise<void> {
  const ends: Array<() => void> = []
  const redis = await openRedis({ after: end => void ends.push(end as () => void) }, system.redis.url)
  await until(
    `${count} jobs are with a worker`,
    async () => (await redis.xPending(keysOf(system.prefix, 'everyday').jobs, 'workers')).pending >= count
  )
  for (const end of ends) end()
}

async function assertOneDeadLetter(system: System, requestId: string): Promise<void> {
  const headers = { authorization: 'Bearer operator' }
  const { deadLetters } = (await (await fetch(`${system.url}/admin/dead-letters`, { headers })).json()) as {
    deadLetters: Array<{ entry: string; id: string; deliveries: number; sha256: string }>
  }
  assert.equal(deadLetters.length, 1)
  const [letter] = deadLetters
  const request = await system.gateway.untilLog('it is in the log', line => line.requestId === requestId)
  assert.ok(letter)
  assert.equal(letter.id, request['jobId'])
  assert.equal(letter.deliveries, 3)
  assert.match(letter.sha256, /^[0-9a-f]{64}$/)
  const address = `${system.url}/admin/dead-letters/${letter.entry}`
  assert.equal((await fetch(address)).status, 401)
  assert.equal((await fetch(address, { headers })).status, 200)
  assert.equal((await fetch(address, { headers, method: 'DELETE' })).status, 204)
  assert.equal((await fetch(address, { headers })).status, 404)
}

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { keysOf } from '@streamsight/protocol'
import { fixture, fixtures, startSystem, type System } from '../support/system.ts'
import { until } from '../support/until.ts'
import { fault, quickFault } from './fault.ts'
import { hooked } from './marks.js'
import { assertHonest, assertMemoryBack, assertQuiet, drive, driveOpen, metric } from './oracle.ts'
import { connected } from './redis.ts'

fault('18. ten times more than can be done for 20 s: honest refusals, and the work goes on', async t => {
  const deadlineMs = 4_000
  const system = await startSystem(t, {
    workerArgs: hooked,
    workerEnv: { SLOW_MS: '60' },
    env: { REQUEST_TIMEOUT_MS: String(deadlineMs), MAX_QUEUE_DEPTH: '100' }
  })
  const redis = await connected(t, system)
  const memoryBefore = await metric(system, 'nodejs_heap_size_used_bytes')
  const capacity = await perSecond(5_000, ends =>
    drive(system, { concurrency: 16, until: () => performance.now() > ends })
  )

  let deepest = 0
  const sampling = setInterval(async () => {
    deepest = Math.max(deepest, await redis.xLen(keysOf(system.prefix, 'everyday').jobs))
  }, 50)
  t.after(() => clearInterval(sampling))
  const offered = await perSecond(20_000, ends =>
    driveOpen(system, { ratePerSecond: 10 * capacity.ok, until: () => performance.now() > ends })
  )
  clearInterval(sampling)

  const figures = JSON.stringify({ capacity: capacity.ok, goodput: offered.ok, offered: offered.requests, deepest })
  t.diagnostic(figures)
  assertHonest(offered.tally, ['OVERLOADED'])
  assert.ok(offered.tally.errors['OVERLOADED'] ?? 0, `nothing was refused: ${figures}`)
  assert.ok(offered.ok >= 0.9 * capacity.ok, `goodput fell: ${figures}`)
  assert.ok(deepest <= 100, `the queue grew past its limit: ${figures}`)
  await assertQuiet(system)
  await assertMemoryBack(system, memoryBefore)
})

fault('19. half of the clients leave at random: the others are answered', async t => {
  const system = await startSystem(t, { workerArgs: hooked, workerEnv: { SLOW_MS: '5' } })
  let left = 0
  await Promise.all(
    Array.from({ length: 200 }, async (_, i) => {
      const { image, label } = fixtures[i % fixtures.length] as (typeof fixtures)[number]
      const leaves = i % 2 === 0
      const answer = system.predict(
        image,
        leaves ? { signal: AbortSignal.timeout(Math.floor(Math.random() * 800)) } : {}
      )
      if (leaves)
        await answer.catch(() => {
          left++
        })
      else assert.equal((await answer).body.predictions?.[0]?.label, label)
    })
  )
  assert.ok(left > 0)
  await assertQuiet(system)
})

quickFault('19b. work that nobody waits for any more never reaches the engine', async t => {
  const system = await startSystem(t, { workerArgs: hooked, workerEnv: { SLOW_MS: '1500', BATCH_MAX_SIZE: '1' } })
  const redis = await connected(t, system)
  const { jobs } = keysOf(system.prefix, 'everyday')
  const busy = [system.predict(fixture('ship.jpg')), system.predict(fixture('ship.jpg'))]
  await until('one is on the engine and one ahead', async () => (await redis.xPending(jobs, 'workers')).pending === 2)

  const controller = new AbortController()
  const waiting = Array.from({ length: 50 }, () =>
    system.predict(fixture('cat.png'), { signal: controller.signal }).catch(() => 'left')
  )
  await until('the rest waits', async () => (await redis.xLen(jobs)) === 52)
  controller.abort()
  assert.ok((await Promise.all(waiting)).every(outcome => outcome === 'left'))
  for (const { status } of await Promise.all(busy)) assert.equal(status, 200)
  await assertQuiet(system)
  await until('both are in the log', () => jobsDone(system) >= 2)
  assert.equal(jobsDone(system), 2)
})

quickFault(
  '22. a gateway killed with 100 requests open: retries with their Idempotency-Key get the first answer',
  async t => {
    const system = await startSystem(t, { workerArgs: hooked, workerEnv: { SLOW_MS: '20' } })
    const keys = Array.from({ length: 100 }, () => randomUUID())
    const send = (key: string, i: number) =>
      system.predict((fixtures[i % fixtures.length] as (typeof fixtures)[number]).image, {
        headers: { 'idempotency-key': key }
      })

    const first = keys.map((key, i) => send(key, i).catch(() => undefined))
    await until(
      'all are on their way',
      async () => (await metric(system, 'streamsight_open_requests')) + jobsDone(system) >= 100
    )
    system.gateway.signal('SIGKILL')
    await Promise.all(first)
    await system.restartGateway()

    const answers = await Promise.all(keys.map(send))
    for (const [i, { status, body }] of answers.entries()) {
      assert.equal(status, 200)
      assert.equal(body.predictions?.[0]?.label, fixtures[i % fixtures.length]?.label)
    }
    await until('each is in the log', () => jobsDone(system) >= 100)
    const [again] = await Promise.all([send(keys[0] ?? '', 0), assertQuiet(system)])
    assert.deepEqual(again.body.predictions, answers[0]?.body.predictions)
    assert.equal(jobsDone(system), 100, 'no second inference')
  }
)

function jobsDone({ workers }: System): number {
  return workers.flatMap(({ lines }) => lines).filter(({ event }) => event === 'job').length
}

/** What a load achieved in each second of `ms`. */
async function perSecond(ms: number, load: (ends: number) => ReturnType<typeof drive>) {
  const started = performance.now()
  const tally = await load(started + ms)
  const seconds = (performance.now() - started) / 1_000
  return { tally, ok: tally.ok / seconds, requests: tally.requests / seconds }
}

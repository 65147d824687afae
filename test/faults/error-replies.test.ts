import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { fixture, startSystem } from '../support/system.ts'
import { until } from '../support/until.ts'
import { startBehindProxy } from './behind-proxy.ts'
import { fault, quickFault } from './fault.ts'
import { assertHonest, assertQuiet, driveDuring } from './oracle.ts'
import { redisErrors } from './proxy.ts'
import { watchReadiness } from './readiness.ts'
import { connected } from './redis.ts'

/** Level of a warning in a log line. */
const warning = 40

for (const code of ['BUSY', 'MISCONF', 'LOADING', 'MASTERDOWN'] as const) {
  const [declare, forMs] = code === 'BUSY' ? ([quickFault, 4_000] as const) : ([fault, 10_000] as const)
  declare(`B1. ${code} as the answer to PING is an answer: nothing is refused`, t =>
    assertNothingRefused(t, code, forMs)
  )
}
fault('B1. BUSY as the answer to PING for ten seconds: nothing is refused', t =>
  assertNothingRefused(t, 'BUSY', 10_000)
)

fault('B1. every command is answered with an error for two seconds: nothing is lost', async t => {
  for (const code of ['BUSY', 'LOADING', 'MASTERDOWN'] as const) {
    const { system, proxy } = await startBehindProxy(t, 'gateway')
    const tally = await driveDuring(system, async () => {
      proxy.answer({ error: redisErrors[code] })
      await sleep(2_000)
      proxy.heal()
    })
    assertHonest(tally, ['BROKER_UNAVAILABLE'])
    await assertQuiet(system)
    await system.stop()
  }
})

fault('B1. a script that holds Redis for eight seconds: what waits for it is answered afterwards', async t => {
  const system = await startSystem(t, { workers: 2, restart: true })
  const redis = await connected(t, system)
  await redis.configSet('busy-reply-threshold', '100')
  const tally = await driveDuring(system, async () => {
    const script = `local function now() local t = redis.call('TIME') return t[1] * 1000 + t[2] / 1000 end
      local ends = now() + 8000
      while now() < ends do end`
    await redis.sendCommand(['EVAL', script, '0'])
    const endedMs = performance.now()
    await until('it answers again', async () => (await system.predict(fixture('ship.jpg'))).status === 200, 10_000)
    t.diagnostic(`200 again after ${Math.round(performance.now() - endedMs)} ms`)
  })
  assertHonest(tally, ['BROKER_UNAVAILABLE'])
  assert.equal((await fetch(`${system.url}/health/ready`)).status, 200)
  assert.ok(
    system.workers.every(({ starts }) => starts === 1),
    'no worker ended'
  )
  await assertQuiet(system)
})

/** What can't pass ends at once, however long the deadline; MISCONF may pass, and may be waited for. */
const patience = { NOPERM: {}, MISCONF: { REQUEST_TIMEOUT_MS: '5000' } } as const

for (const code of ['NOPERM', 'MISCONF'] as const) {
  const declare = code === 'NOPERM' ? quickFault : fault
  declare(`B4. ${code} as the answer to every script: the request ends at once, and the cause is logged`, async t => {
    const { system, proxy } = await startBehindProxy(t, 'gateway', { workers: 1, env: patience[code] })
    proxy.answer({ error: redisErrors[code], commands: ['EVALSHA'] })
    const startedMs = performance.now()
    const { status, body } = await system.predict(fixture('ship.jpg'))
    t.diagnostic(`${status} ${body.error?.code} after ${Math.round(performance.now() - startedMs)} ms`)
    assert.ok(performance.now() - startedMs < 10_000, 'it waited for its deadline')
    assert.ok(status >= 500, `${status}`)
    assert.notEqual(body.error?.code, 'DEADLINE_EXCEEDED')
    await system.gateway.untilLog('the cause is in the log', line => {
      return Number(line['level']) >= warning && JSON.stringify(line).includes(code)
    })
    proxy.heal()
    await until('it answers again', async () => (await system.predict(fixture('ship.jpg'))).status === 200)
    await assertQuiet(system)
  })
}

fault('B5. no memory for longer than a worker may be silent: its heartbeats go on, and new workers start', async t => {
  const system = await startSystem(t)
  const redis = await connected(t, system)
  await redis.configSet('maxmemory', '1')
  const late = system.addWorker(2)
  const watch = watchReadiness(system)
  await late.untilLog('a worker started without memory', ({ event }) => event === 'ready', 60_000)
  // The registry forgets after 15 s of silence.
  await sleep(17_000)
  const { status, body } = await system.predict(fixture('ship.jpg'))
  assert.equal(status, 503)
  assert.equal(body.error?.code, 'OVERLOADED', JSON.stringify(body))
  assert.match(body.error.message, /memory/)
  await watch.stop()
  assert.ok(!watch.wasRed(), JSON.stringify(watch.changes))
  await redis.configSet('maxmemory', '0')
  assert.ok(late.isRunning())
  await until('it answers again', async () => (await system.predict(fixture('ship.jpg'))).status === 200)
  await assertQuiet(system)
})

async function assertNothingRefused(
  t: Parameters<Parameters<typeof fault>[1]>[0],
  code: keyof typeof redisErrors,
  forMs: number
): Promise<void> {
  const { system, proxy } = await startBehindProxy(t, 'gateway')
  const watch = watchReadiness(system)
  const tally = await driveDuring(system, async () => {
    proxy.answer({ error: redisErrors[code], commands: ['PING'] })
    await sleep(forMs)
    proxy.heal()
  })
  await watch.stop()
  assertHonest(tally)
  assert.ok(!watch.wasRed(), JSON.stringify(watch.changes))
  await assertQuiet(system)
}

import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '../support/until.ts'
import { startBehindProxy } from './behind-proxy.ts'
import { fault } from './fault.ts'
import { assertHonest, assertQuiet, driveOpen, type Tally } from './oracle.ts'
import type { Direction, Proxy, Role } from './proxy.ts'
import { watchReadiness } from './readiness.ts'

type System = Awaited<ReturnType<typeof startBehindProxy>>['system']

/** How long a lost connection may go unnoticed. Generous: a reply is overdue after 4 s, and 6 s is what the figure should be. */
const patienceMs = 12_000

interface Break {
  role: Role
  direction: Direction
  perSecond: number
}

fault('B2. the subscriber is half-open: it is noticed, red meanwhile, and no request is lost', async t => {
  const { system, proxy } = await startBehindProxy(t, 'gateway')
  t.diagnostic(await assertNoticed(system, proxy, { role: 'subscriber', direction: 'toClient', perSecond: 10 }))
  await assertQuiet(system)
})

for (const role of ['subscriber', 'uploads', 'control'] as const) {
  fault(`B2. a connection (${role}) is half-open at 1, 10 and 40 requests a second, in either direction`, async t => {
    const { system, proxy } = await startBehindProxy(t, 'gateway')
    for (const direction of ['toClient', 'toServer'] as const)
      for (const perSecond of [1, 10, 40])
        t.diagnostic(await assertNoticed(system, proxy, { role, direction, perSecond }))
    await assertQuiet(system)
  })
}

/** Breaks a connection under traffic. What came of it, as a line. */
async function assertNoticed(system: System, proxy: Proxy, { role, direction, perSecond }: Break): Promise<string> {
  const watch = watchReadiness(system)
  let [brokenMs, againMs, over] = [Infinity, Infinity, false]
  const load = driveOpen(system, {
    ratePerSecond: perSecond,
    until: () => over,
    onOk(sentMs) {
      if (sentMs > brokenMs) againMs = Math.min(againMs, performance.now() - brokenMs)
    }
  })
  await sleep(1_500)
  assert.ok(proxy.halfOpen(direction, role) > 0, `no connection is for ${role}`)
  brokenMs = performance.now()
  await untilSoon(() => proxy.broken() === 0)
  const noticedMs = performance.now() - brokenMs
  await untilSoon(() => againMs < Infinity)
  await sleep(1_000)
  over = true
  const tally = await load
  await watch.stop()
  const wasRed = watch.wasRed(brokenMs)
  const line =
    `${role} ${direction} at ${perSecond}/s: given up after ${Math.round(noticedMs)} ms, ` +
    `200 again after ${Math.round(againMs)} ms, red ${wasRed}, ${summary(tally)}`
  assertHonest(tally, ['BROKER_UNAVAILABLE'])
  assert.ok(wasRed, `readiness stayed green: ${line}`)
  assert.ok(watch.isGreen(), `readiness is still red: ${JSON.stringify(watch.changes)}`)
  assert.ok(noticedMs < patienceMs && againMs < patienceMs, line)
  return line
}

/** Waits for it as long as is bearable; what is asserted then says more than that it did not come. */
async function untilSoon(isTrue: () => boolean): Promise<void> {
  await until('it is noticed', isTrue, patienceMs).catch(() => {})
}

function summary({ requests, ok, errors, slowestMs }: Tally): string {
  return JSON.stringify({ requests, ok, ...errors, slowestMs: Math.round(slowestMs) })
}

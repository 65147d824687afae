import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import type { TestContext } from 'node:test'
import { startSystem, type System } from '../support/system.ts'
import { until } from '../support/until.ts'
import { fault } from './fault.ts'
import { attacks, besiege, throwAt, type Attack } from './hostile.ts'
import { serviceOf } from './honest.ts'
import { assertQuiet, metric } from './oracle.ts'

/** What a client may have to wait under attack. Generous: machines differ; the figure that is printed should be below a second. */
const patienceMs = 2_000

/** How long hostile clients may hold anything. */
const lettingGoMs = 60_000

const bombs: Record<string, () => string> = {
  'nested arrays': () => `{"image":${'['.repeat(6_900_000)}${']'.repeat(6_900_000)}}`,
  'empty objects': () => `{"image":[${'{},'.repeat(4_600_000)}{}]}`,
  'distinct keys': () => `{${Array.from({ length: 1_000_000 }, (_, i) => `"k${i}":0,`).join('')}"image":""}`
}

fault('A1. clients that declare ten megabytes and send none take nobody’s place', async t => {
  const system = await startSystem(t)
  await assertServedDuring(t, system, { attack: attacks.declaredOnly, perSecond: 50 })
  await assertQuiet(system)
})

for (const [id, attack] of [
  ['A1', attacks.declaredOnly],
  ['A1', attacks.slowHeaders],
  ['A2', attacks.slowBodies],
  ['A2', attacks.tinyAndSlow]
] as const) {
  fault(`${id}. ${attack.connections} clients that ${attack.name}: others are served, and nothing is held`, async t => {
    const system = await startSystem(t)
    const siege = await assertServedDuring(t, system, { attack, perSecond: 20 })
    const besiegedMs = performance.now()
    await until(`all ${attack.connections} connections were given up`, () => siege.held() === 0, lettingGoMs)
    t.diagnostic(`given up after another ${Math.round((performance.now() - besiegedMs) / 1_000)} s`)
    assert.equal(await metric(system, 'streamsight_held_bytes'), 0)
    await assertQuiet(system)
  })
}

for (const [name, bomb] of Object.entries(bombs)) {
  fault(`A5. 14 MB of JSON a quarter second, ${name}: the event loop goes on`, async t => {
    const system = await startSystem(t)
    const body = Buffer.from(bomb())
    const thrown: Array<Promise<string>> = []
    const quiet = await serviceOf(system, { count: 20, perSecond: 20 })
    const timer = setInterval(() => thrown.push(throwAt(system.port, 'application/json', body)), 250)
    t.after(() => clearInterval(timer))
    const during = await serviceOf(system, { count: 100, perSecond: 20 })
    clearInterval(timer)
    const statuses = new Set(await Promise.all(thrown))
    t.diagnostic(JSON.stringify({ quiet, during, bombs: thrown.length, statuses: [...statuses] }))
    assertServed(during)
    await assertQuiet(system)
  })
}

fault('A5. twenty such bodies at once: the gateway stays below a gigabyte', async t => {
  const system = await startSystem(t)
  const body = Buffer.from(bombs['empty objects']?.() ?? '')
  const statuses = await Promise.all(Array.from({ length: 20 }, () => throwAt(system.port, 'application/json', body)))
  const peakMb = peakMemoryMb(system.gateway.pid)
  t.diagnostic(JSON.stringify({ peakMb, statuses }))
  if (peakMb !== undefined) assert.ok(peakMb < 1_000, `${peakMb} MB`)
  await assertQuiet(system)
})

/** A hundred honest requests are answered while an attack goes on, which goes on afterwards too. */
async function assertServedDuring(
  t: TestContext,
  system: System,
  { attack, perSecond }: { attack: Attack; perSecond: number }
) {
  const quiet = await serviceOf(system, { count: 20, perSecond })
  const siege = await besiege(system.port, attack)
  t.after(() => siege.stop())
  const during = await serviceOf(system, { count: 100, perSecond })
  t.diagnostic(JSON.stringify({ quiet, during }))
  assertServed(during)
  return siege
}

function assertServed(service: Awaited<ReturnType<typeof serviceOf>>): void {
  const summary = JSON.stringify(service)
  assert.deepEqual(Object.keys(service.answers), ['200'], summary)
  assert.ok(service.p99Ms < patienceMs, summary)
}

/** The most that a process has ever had in memory; undefined where the system does not say. */
function peakMemoryMb(pid: number): number | undefined {
  if (process.platform !== 'linux') return undefined
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1_024
}

/**
 * `npm run test:soak -- --minutes N`: random faults under load, and a table of what came of it. Two gateways behind a balancer,
 * all connections to Redis through a proxy. Exits with 1 if an answer was wrong, a request was lost or anything leaked.
 */
import { parseArgs } from 'node:util'
import { startRedis } from '../scripts/redis.js'
import { driveKeyed } from './faults/keyed.ts'
import { assertMemoryBack, assertQuiet, drive, metric, pause, type Tally } from './faults/oracle.ts'
import { startProxy } from './faults/proxy.ts'
import { randomFaults, anyOf, type Target } from './faults/random-faults.ts'
import { connected } from './faults/redis.ts'
import { startBalancer } from './faults/balancer.ts'
import { startGateway } from './faults/gateway.ts'
import { predictAt, startSystem } from './support/system.ts'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    workers: { type: 'string', default: '3' },
    concurrency: { type: 'string', default: '48' }
  }
})
const workers = Number(values.workers)
const concurrency = Number(values.concurrency)
const durationMs = Number(values.minutes) * 60_000
/** Clients that send each picture twice with one key, and leave now and then. */
const keyedConcurrency = Math.ceil(concurrency / 8)
/** Over what a balancer needs to see red. */
const gatewayEnv = { SHUTDOWN_DELAY_MS: '1500' }

/** Faults as they began. */
const timeline: Array<{ atMs: number; name: string }> = []

/** What a test context would do at its end. */
const teardown: Array<() => unknown> = []
const context = {
  after: (task: () => unknown) => {
    teardown.push(task)
  }
} as Parameters<typeof startSystem>[0]

async function startTarget(): Promise<Target> {
  const redis = await startRedis()
  const proxy = await startProxy(redis.port)
  context.after(() => proxy.stop())
  const system = await startSystem(context, {
    redis,
    redisUrl: proxy.url,
    workers,
    restart: true,
    gatewayEnv,
    workerEnv: { ENGINE_THREADS: '1' }
  })
  const second = await startGateway(context, { prefix: system.prefix, redis: { ...redis, url: proxy.url } }, gatewayEnv)
  await second.untilReady()
  return { system, proxy, second, redis: await connected(context, system), context }
}

async function sabotage(target: Target, ends: () => boolean): Promise<Record<string, number>> {
  const counts: Record<string, number> = {}
  while (!ends()) {
    const name = anyOf(Object.keys(randomFaults))
    counts[name] = (counts[name] ?? 0) + 1
    timeline.push({ atMs: performance.now(), name })
    // A fault may hit another: the saboteur's own connection breaks with the rest.
    await randomFaults[name]?.(target).catch(() => {})
    await pause(600 + Math.random() * 900)
  }
  return counts
}

async function leaksOf({ system, second }: Target, heapBefore: number): Promise<string> {
  try {
    for (const { url } of [system, second]) {
      await assertQuiet({ ...system, url })
      await assertMemoryBack({ url }, heapBefore)
    }
    return 'none'
  } catch (error) {
    return (error as Error).message
  }
}

function rowsOf({ requests, ok, wrong, lost, errors, withoutRetryAfter, slowestMs }: Tally) {
  const { DEADLINE_EXCEEDED: timedOut = 0, ...refused } = errors
  return { requests, ok, wrong, lost, timedOut, ...refused, withoutRetryAfter, slowestMs: Math.round(slowestMs) }
}

const target = await startTarget()
const balancer = await startBalancer(context, [target.system, target.second])
const clients = { predict: (...args: Parameters<typeof target.system.predict>) => predictAt(balancer.url, ...args) }
const heapBefore = await metric(target.system, 'nodejs_heap_size_used_bytes')
const endsAt = performance.now() + durationMs
const ends = () => performance.now() > endsAt
const progress = setInterval(
  () => process.stderr.write(`\r${Math.max(0, Math.round((endsAt - performance.now()) / 1_000))} s left `),
  1_000
)

const [tally, keyed, counts] = await Promise.all([
  drive(clients, { concurrency, until: ends }),
  driveKeyed(clients, { concurrency: keyedConcurrency, until: ends }),
  sabotage(target, ends)
])
clearInterval(progress)
const leaks = await leaksOf(target, heapBefore)

console.log(
  `\nsoak: ${values.minutes} min, 2 gateways, ${workers} workers, concurrency ${concurrency} + ${keyedConcurrency}, ` +
    `faults ${Object.values(counts).reduce((a, b) => a + b, 0)}`
)
console.table({ 'one request each': rowsOf(tally), 'two with one key': rowsOf(keyed) })
console.table(counts)
console.log(`leaks: ${leaks}`)
for (const { atMs, reason } of [...tally.losses, ...keyed.losses]) {
  const before = timeline.filter(fault => fault.atMs < atMs).slice(-3)
  console.log(
    `lost: ${reason}; after ${before.map(fault => `${fault.name} (${Math.round(atMs - fault.atMs)} ms)`).join(', ')}`
  )
}

for (const task of teardown.toReversed()) await task()
const isClean = tally.wrong + tally.lost + keyed.wrong + keyed.lost === 0 && leaks === 'none'
process.exitCode = isClean ? 0 : 1

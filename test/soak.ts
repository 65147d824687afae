/**
 * `npm run test:soak -- --minutes N`: random faults under load, and a table of what came of it. Exits with 1 if an answer was
 * wrong, a request was lost or anything leaked.
 */
import { parseArgs } from 'node:util'
import { group, keysOf } from '@streamsight/protocol'
import { assertMemoryBack, assertQuiet, drive, metric, pause } from './faults/oracle.ts'
import { connected, restartRedis } from './faults/redis.ts'
import type { RedisClient } from './support/redis-client.ts'
import { startSystem, type System } from './support/system.ts'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    workers: { type: 'string', default: '3' },
    concurrency: { type: 'string', default: '48' }
  }
})
const workers = Number(values.workers)
const durationMs = Number(values.minutes) * 60_000

/** What a test context would do at its end. */
const teardown: Array<() => unknown> = []
const context = {
  after: (task: () => unknown) => {
    teardown.push(task)
  }
} as Parameters<typeof startSystem>[0]

type Fault = (system: System, redis: RedisClient) => Promise<unknown>

const faults: Record<string, Fault> = {
  'worker killed': async system => anyWorker(system)?.signal('SIGKILL'),
  'worker stopped 1–7 s': async system => {
    const worker = anyWorker(system)
    worker?.signal('SIGSTOP')
    await pause(1_000 + Math.random() * 6_000)
    worker?.signal('SIGCONT')
  },
  'Redis killed': system => restartRedis(context, system),
  'Redis stopped 0.5–2 s': async system => {
    process.kill(system.redis.pid, 'SIGSTOP')
    await pause(500 + Math.random() * 1_500)
    process.kill(system.redis.pid, 'SIGCONT')
  },
  'connections killed': (_system, redis) =>
    redis.sendCommand(['CLIENT', 'KILL', 'TYPE', Math.random() < 0.5 ? 'pubsub' : 'normal', 'SKIPME', 'yes']),
  FLUSHALL: (_system, redis) => redis.flushAll(),
  'SCRIPT FLUSH': (_system, redis) => redis.scriptFlush(),
  'XGROUP DESTROY': (system, redis) => redis.xGroupDestroy(jobsOf(system), group),
  DELCONSUMER: async (system, redis) => {
    for (const { name } of await redis.xInfoConsumers(jobsOf(system), group))
      await redis.xGroupDelConsumer(jobsOf(system), group, name)
  },
  'stray XACK': async (system, redis) => {
    for (const { id } of await redis.xPendingRange(jobsOf(system), group, '-', '+', 10))
      await redis.xAck(jobsOf(system), group, id)
  },
  'out of memory 0.5 s': async (_system, redis) => {
    await redis.configSet('maxmemory', '1')
    await pause(500)
    await redis.configSet('maxmemory', '0')
  }
}

function jobsOf(system: System): string {
  return keysOf(system.prefix, 'everyday').jobs
}

function anyWorker({ workers: all }: System) {
  return all[Math.floor(Math.random() * all.length)]
}

async function sabotage(system: System, ends: () => boolean): Promise<Map<string, number>> {
  const counts = new Map<string, number>()
  const redis = await connected(context, system)
  const names = Object.keys(faults)
  while (!ends()) {
    const name = names[Math.floor(Math.random() * names.length)] ?? ''
    counts.set(name, (counts.get(name) ?? 0) + 1)
    // A fault may hit another: the saboteur's own connection breaks with the rest.
    await faults[name]?.(system, redis).catch(() => {})
    await pause(600 + Math.random() * 900)
  }
  return counts
}

async function leaksOf(system: System, heapBefore: number): Promise<string> {
  try {
    await assertQuiet(system)
    await assertMemoryBack(system, heapBefore)
    return 'none'
  } catch (error) {
    return (error as Error).message
  }
}

const system = await startSystem(context, { workers, restart: true, workerEnv: { ENGINE_THREADS: '1' } })
const heapBefore = await metric(system, 'nodejs_heap_size_used_bytes')
const endsAt = performance.now() + durationMs
const ends = () => performance.now() > endsAt
const progress = setInterval(
  () => process.stderr.write(`\r${Math.max(0, Math.round((endsAt - performance.now()) / 1_000))} s left `),
  1_000
)

const [tally, counts] = await Promise.all([
  drive(system, { concurrency: Number(values.concurrency), until: ends }),
  sabotage(system, ends)
])
clearInterval(progress)
const leaks = await leaksOf(system, heapBefore)

console.log(
  `\nsoak: ${values.minutes} min, ${workers} workers, concurrency ${values.concurrency}, faults ${[...counts.values()].reduce((a, b) => a + b, 0)}`
)
console.table({
  requests: tally.requests,
  ok: tally.ok,
  wrong: tally.wrong,
  lost: tally.lost,
  ...tally.errors,
  'slowest ms': Math.round(tally.slowestMs),
  leaks
})
console.table(Object.fromEntries(counts))

for (const task of teardown.toReversed()) await task()
process.exitCode = tally.wrong + tally.lost === 0 && leaks === 'none' ? 0 : 1

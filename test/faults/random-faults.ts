/** What the soak test does to a system, chosen at random. Each fault ends by itself or is mended before the next. */
import { group, keysOf } from '@streamsight/protocol'
import type { Gateway } from './gateway.ts'
import type { Redis } from '../support/redis.ts'
import type { System } from '../support/system.ts'
import { attacks, besiege, throwAt } from './hostile.ts'
import { pause } from './oracle.ts'
import { redisErrors, type Proxy } from './proxy.ts'
import { restartRedis } from './redis.ts'

export interface Target {
  system: System
  /** Between Redis and all that is tested. */
  proxy: Proxy
  second: Gateway
  redis: Redis
  /** Where what is started anew is torn down. */
  context: Parameters<typeof restartRedis>[0]
}

type Fault = (target: Target) => Promise<unknown>

/** Errors that pass: with NOPERM a worker may rightly end. */
const passing = ['BUSY', 'LOADING', 'MISCONF', 'MASTERDOWN', 'OOM'] as const

/** Less than the suites' own, because clients that do nothing wrong share the machine with them. */
const besiegers = 100

const bomb = Buffer.from(`{"image":[${'{},'.repeat(4_600_000)}{}]}`)

export const randomFaults: Record<string, Fault> = {
  'worker killed': async ({ system }) => anyOf(system.workers).signal('SIGKILL'),
  'worker stopped 1–7 s': async ({ system }) => {
    const worker = anyOf(system.workers)
    worker.signal('SIGSTOP')
    await pause(1_000 + Math.random() * 6_000)
    worker.signal('SIGCONT')
  },
  'Redis killed': ({ system, context }) => restartRedis(context, system),
  'Redis stopped 0.5–2 s': async ({ system }) => {
    process.kill(system.redis.pid, 'SIGSTOP')
    await pause(500 + Math.random() * 1_500)
    process.kill(system.redis.pid, 'SIGCONT')
  },
  'connections killed': ({ redis }) =>
    redis.sendCommand(['CLIENT', 'KILL', 'TYPE', anyOf(['pubsub', 'normal']), 'SKIPME', 'yes']),
  FLUSHALL: ({ redis }) => redis.flushAll(),
  'SCRIPT FLUSH': ({ redis }) => redis.scriptFlush(),
  'XGROUP DESTROY': ({ system, redis }) => redis.xGroupDestroy(jobsOf(system), group),
  DELCONSUMER: async ({ system, redis }) => {
    for (const { name } of await redis.xInfoConsumers(jobsOf(system), group))
      await redis.xGroupDelConsumer(jobsOf(system), group, name)
  },
  'stray XACK': async ({ system, redis }) => {
    for (const { id } of await redis.xPendingRange(jobsOf(system), group, '-', '+', 10))
      await redis.xAck(jobsOf(system), group, id)
  },
  'out of memory 0.5 s': async ({ redis }) => {
    await redis.configSet('maxmemory', '1')
    await pause(500)
    await redis.configSet('maxmemory', '0')
  },
  'error replies to PING 0.5–5 s': ({ proxy }) => answerWithErrors(proxy, ['PING'], 500 + Math.random() * 4_500),
  'error replies to scripts 0.2–1 s': ({ proxy }) =>
    answerWithErrors(proxy, ['EVALSHA', 'FCALL'], 200 + Math.random() * 800),
  'error replies to all 0.2–1 s': ({ proxy }) => answerWithErrors(proxy, undefined, 200 + Math.random() * 800),
  'half-open connections': async ({ proxy }) => {
    proxy.halfOpen(anyOf(['toClient', 'toServer']), anyOf(['subscriber', 'uploads', 'control']))
    await pause(Math.random() * 3_000)
  },
  'slow link 1–4 s': async ({ proxy }) => {
    proxy.throttle({ toServer: 500_000, toClient: 500_000 })
    await pause(1_000 + Math.random() * 3_000)
    proxy.heal()
  },
  'hostile clients 3 s': async ({ system, second }) => {
    const { port } = anyOf([system, second])
    const siege = await besiege(port, { ...anyOf(Object.values(attacks)), connections: besiegers })
    await pause(3_000)
    siege.stop()
  },
  'JSON bombs': ({ system, second }) =>
    Promise.all([system, second].map(({ port }) => throwAt(port, 'application/json', bomb))),
  'gateway restarted': async ({ system, second }) => {
    if (Math.random() < 0.5) {
      system.gateway.signal('SIGTERM')
      await system.restartGateway()
    } else {
      second.process.signal('SIGTERM')
      await second.restart()
    }
  }
}

async function answerWithErrors(proxy: Proxy, commands: string[] | undefined, forMs: number): Promise<void> {
  proxy.answer({ error: redisErrors[anyOf(passing)], ...(commands === undefined ? {} : { commands }) })
  await pause(forMs)
  proxy.heal()
}

function jobsOf(system: System): string {
  return keysOf(system.prefix, 'everyday').jobs
}

export function anyOf<T>(items: readonly T[]): T {
  return items[Math.floor(Math.random() * items.length)] as T
}

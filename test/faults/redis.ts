import type { TestContext } from 'node:test'
import { startRedis } from '../../scripts/redis.js'
import { openRedis, type Redis } from '../support/redis.ts'
import type { System } from '../support/system.ts'

/** A connection of the test's own, straight to Redis. */
export async function connected(t: Pick<TestContext, 'after'>, system: Pick<System, 'redis'>): Promise<Redis> {
  return await openRedis(t, system.redis.url)
}

/** Kills Redis and starts it again on the same port, with whatever `args` let it remember. */
export async function restartRedis(
  t: Pick<TestContext, 'after'>,
  system: Pick<System, 'redis'>,
  { args = [], between = async () => {} }: { args?: string[]; between?: () => Promise<void> } = {}
): Promise<void> {
  await system.redis.stop()
  await between()
  const restarted = await startRedis({ port: system.redis.port, args })
  system.redis.pid = restarted.pid
  system.redis.stop = restarted.stop
  t.after(restarted.stop)
}

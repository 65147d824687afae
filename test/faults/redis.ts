import type { TestContext } from 'node:test'
import { startRedis } from '../../scripts/redis.js'
import { redisClient, type RedisClient } from '../support/redis-client.ts'
import type { System } from '../support/system.ts'

/** A client of the test's own for as long as the test. */
export async function connected(t: Pick<TestContext, 'after'>, system: Pick<System, 'redis'>): Promise<RedisClient> {
  const client = await redisClient(system.redis.url)
  t.after(() => client.destroy())
  return client
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

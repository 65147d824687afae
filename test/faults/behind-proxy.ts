import type { TestContext } from 'node:test'
import { startRedis } from '../../scripts/redis.js'
import { startSystem, type SystemOptions } from '../support/system.ts'
import { startProxy } from './proxy.ts'

/** A system one half of which reaches Redis through a proxy. */
export async function startBehindProxy(
  t: TestContext,
  half: 'gateway' | 'worker',
  { workers = 2, gatewayEnv = {}, workerEnv = {}, ...options }: SystemOptions = {}
) {
  const redis = await startRedis()
  const proxy = await startProxy(redis.port)
  t.after(() => proxy.stop())
  const env = { REDIS_URL: proxy.url }
  const system = await startSystem(t, {
    ...options,
    redis,
    workers,
    gatewayEnv: { ...gatewayEnv, ...(half === 'gateway' ? env : {}) },
    workerEnv: { ...workerEnv, ...(half === 'worker' ? env : {}) }
  })
  return { system, proxy }
}

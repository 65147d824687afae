import { randomUUID } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createLogger, loadConfig } from '@streamsight/service'
import { buildApp } from '../../apps/gateway/src/app.ts'
import { configSchema } from '../../apps/gateway/src/config.ts'
import { startRedis } from '../../scripts/redis.js'
import { startStandIn } from './stand-in.ts'

/** A gateway in this process that listens, with a real Redis and a stand-in that answers every job at once. */
export async function startGateway(t: Pick<TestContext, 'after'>, env: Record<string, string> = {}) {
  const ends: Array<() => unknown> = []
  t.after(async () => {
    for (const end of ends.toReversed()) await end()
  })
  const redis = await startRedis()
  ends.push(() => redis.stop())
  const prefix = `t${randomUUID().slice(0, 8)}`
  const settings = {
    REDIS_URL: redis.url,
    REDIS_PREFIX: prefix,
    MODELS: 'everyday',
    HOST: '127.0.0.1',
    PORT: '0',
    ...env
  }
  const log = createLogger({ name: 'gateway', level: 'silent', pretty: false })
  const app = await buildApp({ config: loadConfig(configSchema, settings), log })
  ends.push(async () => {
    app.server.closeAllConnections()
    await app.close()
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  const url = `http://127.0.0.1:${port}`
  const worker = await startStandIn({ after: end => ends.push(end as () => unknown) }, { url, prefix, redis })
  let over = false
  const answering = answer()
  ends.push(async () => {
    over = true
    await answering
  })
  return { app, url, port, prefix, redis }

  async function answer(): Promise<void> {
    while (!over) {
      // Fails while Redis is away, and for a job whose client left. Whatever else fails shows as a request without an answer.
      await answerNext().catch(() => sleep(50))
    }
  }

  async function answerNext(): Promise<void> {
    const delivery = await worker.poll()
    if (delivery) await worker.finish(delivery)
  }
}

export type TestGateway = Awaited<ReturnType<typeof startGateway>>

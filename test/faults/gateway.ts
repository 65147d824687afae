import type { TestContext } from 'node:test'
import { freePort } from '../../scripts/redis.js'
import { startProcess } from '../support/process.ts'
import { predictAt, type Answer, type PredictOptions, type System } from '../support/system.ts'
import { until } from '../support/until.ts'

/** One more gateway of a system, on a port of its own. Listens, but may not be ready yet. */
export async function startGateway(
  t: Pick<TestContext, 'after'>,
  { redis, prefix }: Pick<System, 'redis' | 'prefix'>,
  env: Record<string, string> = {}
) {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  let running = launch()
  t.after(() => running.stop('SIGKILL'))
  await untilListening()

  return {
    url,
    port,
    /** The process that runs now. */
    get process() {
      return running
    },
    predict: (image: Buffer, options?: PredictOptions): Promise<Answer> => predictAt(url, image, options),
    isReady,
    untilReady: () => until(`the gateway at ${url} is ready`, isReady),

    /** Another one on the same port, once this one is gone. */
    async restart(): Promise<void> {
      await running.exited()
      running = launch()
      await untilListening()
    }
  }

  function launch() {
    return startProcess({
      args: ['apps/gateway/dist/main.js'],
      env: {
        REDIS_URL: redis.url,
        REDIS_PREFIX: prefix,
        PORT: String(port),
        HOST: '127.0.0.1',
        MODELS: 'everyday',
        ...env
      }
    })
  }

  async function untilListening(): Promise<void> {
    await running.untilLog('the gateway listens', ({ event }) => event === 'ready')
  }

  async function isReady(): Promise<boolean> {
    return (await fetch(`${url}/health/ready`).catch(() => undefined))?.status === 200
  }
}

export type Gateway = Awaited<ReturnType<typeof startGateway>>

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import {
  createClock,
  createConnection,
  createConsumer,
  createRegistration,
  keysOf,
  protocolVersion,
  type Delivery,
  type FailureCode,
  type Outcome
} from '@streamsight/protocol'
import { send } from './client.ts'
import { silentLog } from './log.ts'
import type { System } from './system.ts'
import { until } from './until.ts'

/** A worker without a model: the test says what becomes of each job. */
export async function startStandIn(t: TestContext, system: System) {
  const [commands, blocking] = [1, 2].map(() =>
    createConnection({ url: system.redis.url, name: 'stand-in', log: silentLog })
  ) as [ReturnType<typeof createConnection>, ReturnType<typeof createConnection>]
  await Promise.all([commands.connect(), blocking.connect()])
  t.after(() => {
    commands.destroy()
    blocking.destroy()
  })
  const keys = keysOf(system.prefix, 'everyday')
  const clock = createClock(commands)
  await clock.sync()
  const consumer = createConsumer({ commands, blocking }, { keys, name: 'stand-in', clock })
  await consumer.ensureGroup()
  const registration = createRegistration(commands, keys, clock)
  const report = () =>
    registration.report({
      name: 'stand-in',
      pid: 1,
      state: 'ready',
      model: { name: 'everyday', version: '1', classes: 10, width: 32, height: 32, about: '' },
      engine: 'none',
      precision: 'float32',
      precisionReason: 'exact: no VNNI',
      latency: { aMs: 1, bMs: 1 },
      maxBatch: 1,
      ratePerSecond: 100,
      held: 0,
      finished: 0
    })
  await report()
  await until('the gateway has seen it', async () => (await send(`${system.url}/health/ready`, {})).status === 200)

  return {
    report,

    /** The next job, taken as a real worker takes it. */
    async take(): Promise<Delivery> {
      await report()
      return await until('a job arrives', async () => (await consumer.read(1, () => {}))[0])
    },

    async finish(delivery: Delivery, code?: FailureCode): Promise<void> {
      const said = { v: protocolVersion, id: delivery.job.id, worker: 'stand-in', deliveries: 1 } as const
      const outcome: Outcome =
        code === undefined
          ? {
              ...said,
              status: 'ok',
              predictions: [{ label: 'ship', probability: 1, index: 8 }],
              model: { name: 'everyday', version: '1' },
              engine: 'none',
              batchSize: 1,
              timings: { queueMs: 0, decodeMs: 0, inferMs: 0 }
            }
          : { ...said, status: 'error', code, message: 'for the client' }
      assert.equal(await consumer.finish(delivery, outcome), true)
    }
  }
}

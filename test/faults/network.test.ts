import assert from 'node:assert/strict'
import { startSystem } from '../support/system.ts'
import { startBehindProxy } from './behind-proxy.ts'
import { fault } from './fault.ts'
import { assertHonest, assertQuiet, driveCount, driveDuring, pause } from './oracle.ts'
import { connected } from './redis.ts'

fault('4. a black hole from Redis to the workers while jobs arrive', async t => {
  const { system, proxy } = await startBehindProxy(t, 'worker')
  assertHonest(
    await driveDuring(system, async () => {
      for (let i = 0; i < 3; i++) {
        await pause(300)
        proxy.swallow('toClient', 'blocking')
        await pause(700)
        proxy.heal()
      }
      proxy.swallow('toClient')
      await pause(4_000)
      proxy.heal()
    })
  )
  await assertQuiet(system)
})

fault('5. a black hole on the gateway’s subscriber: the stored outcomes are found', async t => {
  const { system, proxy } = await startBehindProxy(t, 'gateway')
  assertHonest(
    await driveDuring(system, async () => {
      await pause(300)
      proxy.swallow('toClient', 'subscriber')
      await pause(4_000)
      proxy.heal()
    }),
    ['BROKER_UNAVAILABLE']
  )
  await assertQuiet(system)
})

fault('6. the reply to enqueue cut: no request is lost and none is done twice', async t => {
  const { system, proxy } = await startBehindProxy(t, 'gateway')
  assertHonest(
    await driveDuring(system, async () => {
      for (let i = 0; i < 20; i++) {
        proxy.cut({ direction: 'toClient', bytes: 1 + i, name: 'commands' })
        await pause(200)
      }
    })
  )
  const late = system.workers.flatMap(({ lines }) => lines).filter(line => line['late'] === true)
  assert.equal(late.length, 0)
  await assertQuiet(system)
})

fault('7. the connection cut in the middle of an image', async t => {
  const { system, proxy } = await startBehindProxy(t, 'gateway')
  assertHonest(
    await driveDuring(system, async () => {
      for (let i = 0; i < 20; i++) {
        proxy.cut({ direction: 'toServer', bytes: 1_500 + 400 * i, name: 'commands' })
        await pause(200)
      }
    })
  )
  await assertQuiet(system)
})

fault('7b. a slow network delays and loses nothing', async t => {
  const { system, proxy } = await startBehindProxy(t, 'worker')
  proxy.delay(50)
  assertHonest(await driveCount(system, { count: 60, concurrency: 12 }))
  proxy.heal()
  await assertQuiet(system)
})

fault('16. a gateway stopped until Redis drops its subscriber', async t => {
  const system = await startSystem(t, { workers: 2 })
  const redis = await connected(t, system)
  await redis.configSet('client-output-buffer-limit', 'pubsub 64kb 32kb 1')
  assertHonest(
    await driveDuring(system, async () => {
      await pause(500)
      system.gateway.signal('SIGSTOP')
      const [channel = 'none'] = await redis.sendCommand<string[]>(['PUBSUB', 'CHANNELS', `${system.prefix}:res:*`])
      for (let i = 0; i < 40; i++) await redis.publish(channel, 'x'.repeat(262_144))
      const listening = await redis.sendCommand<string[]>(['PUBSUB', 'CHANNELS', `${system.prefix}:res:*`])
      assert.equal(listening.length, 0, 'Redis dropped the subscriber')
      system.gateway.signal('SIGCONT')
    })
  )
  await assertQuiet(system)
})

fault('17. UNSUBSCRIBE lost 200 times: no channel and no listener is left', async t => {
  const system = await startSystem(t, { workers: 2 })
  const redis = await connected(t, system)
  assertHonest(
    await driveDuring(system, async () => {
      for (let i = 0; i < 200; i++) {
        await redis.sendCommand(['CLIENT', 'KILL', 'TYPE', 'pubsub'])
        await pause(25)
      }
    })
  )
  await assertQuiet(system)
})

import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, statSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { group, keysOf } from '@streamsight/protocol'
import { startRedis } from '../../scripts/redis.js'
import type { Redis } from '../support/redis.ts'
import { fixture, startSystem } from '../support/system.ts'
import { until } from '../support/until.ts'
import { extent, fault, quickFault } from './fault.ts'
import { assertHonest, assertQuiet, driveDuring, pause } from './oracle.ts'
import { connected, restartRedis } from './redis.ts'

/** The same sabotage several times, a moment apart. */
async function repeatedly(sabotage: () => Promise<unknown>): Promise<void> {
  for (let i = 0; i < extent(4, 10); i++) {
    await sabotage()
    await pause(250)
  }
}

quickFault('8. Redis killed and restarted empty again and again under load', async t => {
  const system = await startSystem(t, { workers: 2 })
  assertHonest(
    await driveDuring(system, async () => {
      for (let i = 0; i < extent(2, 5); i++) {
        await restartRedis(t, system)
        await pause(1_000)
      }
    })
  )
  await assertQuiet(system)
})

fault('9. Redis with an append-only file killed, the file’s tail cut, restarted', async t => {
  const dir = mkdtempSync(join(tmpdir(), 'streamsight-'))
  const args = ['--appendonly', 'yes', '--dir', dir, '--aof-load-truncated', 'yes']
  const redis = await startRedis({ args })
  const system = await startSystem(t, { workers: 2, redis })
  assertHonest(
    await driveDuring(system, async () => {
      for (let i = 0; i < 5; i++) {
        await restartRedis(t, system, { args, between: async () => cutTail(join(dir, 'appendonlydir')) })
        await pause(1_500)
      }
    })
  )
  await assertQuiet(system)
})

fault('10. Redis stopped for one, three and five seconds', async t => {
  const system = await startSystem(t, { workers: 2 })
  const tally = await driveDuring(system, async () => {
    for (const ms of [1_000, 3_000, 5_000]) {
      process.kill(system.redis.pid, 'SIGSTOP')
      await pause(ms)
      process.kill(system.redis.pid, 'SIGCONT')
      await pause(1_500)
    }
  })
  // Longer than the grace period: what arrives then is refused at once.
  assertHonest(tally, ['BROKER_UNAVAILABLE'])
  await assertQuiet(system)
})

const wipes: Array<[string, (redis: Redis, jobs: string) => Promise<unknown>]> = [
  ['FLUSHALL', redis => redis.flushAll()],
  ['XGROUP DESTROY', (redis, jobs) => redis.xGroupDestroy(jobs, group)],
  ['DEL of the stream', (redis, jobs) => redis.del(jobs)]
]
for (const [name, wipe] of wipes) {
  const declare = name === 'FLUSHALL' ? quickFault : fault
  declare(`11. ${name} while workers block`, async t => {
    const system = await startSystem(t, { workers: 2 })
    const redis = await connected(t, system)
    const { jobs } = keysOf(system.prefix, 'everyday')
    assertHonest(await driveDuring(system, () => repeatedly(() => wipe(redis, jobs).catch(() => {}))))
    await assertQuiet(system)
  })
}

fault('12. DELCONSUMER and stray XACKs of live entries, whose workers then die', async t => {
  const system = await startSystem(t, { workers: 2, restart: true })
  const redis = await connected(t, system)
  const { jobs } = keysOf(system.prefix, 'everyday')
  assertHonest(
    await driveDuring(system, () =>
      repeatedly(async () => {
        for (const { id } of await redis.xPendingRange(jobs, group, '-', '+', 10)) await redis.xAck(jobs, group, id)
        for (const { name } of await redis.xInfoConsumers(jobs, group)) await redis.xGroupDelConsumer(jobs, group, name)
        // What they held is now known to nobody but the gateway.
        system.workers[Math.floor(Math.random() * 2)]?.signal('SIGKILL')
      })
    )
  )
  await assertQuiet(system)
})

fault('13. a storm of SCRIPT FLUSH', async t => {
  const system = await startSystem(t, { workers: 2 })
  const redis = await connected(t, system)
  assertHonest(
    await driveDuring(system, async () => {
      for (let i = 0; i < 300; i++) {
        await redis.scriptFlush()
        await pause(10)
      }
    })
  )
  await assertQuiet(system)
})

fault('14. no memory for a second: what comes is refused, what is there is finished', async t => {
  const system = await startSystem(t, { workers: 2 })
  const redis = await connected(t, system)
  const tally = await driveDuring(system, async () => {
    await redis.configSet('maxmemory', '1')
    await until('the queue drained', async () => (await redis.xLen(keysOf(system.prefix, 'everyday').jobs)) === 0)
    await pause(1_000)
    await redis.configSet('maxmemory', '0')
  })
  assertHonest(tally, ['OVERLOADED'])
  assert.ok((tally.errors['OVERLOADED'] ?? 0) > 0)
  assert.equal((await system.predict(fixture('ship.jpg'))).status, 200)
  await assertQuiet(system)
})

/** As after a crash in the middle of a write. */
function cutTail(folder: string): void {
  for (const file of readdirSync(folder).filter(name => name.endsWith('.incr.aof'))) {
    const path = join(folder, file)
    truncateSync(path, Math.max(0, statSync(path).size - 37))
  }
}

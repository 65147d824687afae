import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { startBalancer } from './balancer.ts'
import { startGateway, type Gateway } from './gateway.ts'
import { startProcess, type LogLine } from '../support/process.ts'
import { fixture, fixtures, many, predictAt, startSystem } from '../support/system.ts'
import { until } from '../support/until.ts'
import { freePort } from '../../scripts/redis.js'
import { fault, quickFault } from './fault.ts'
import { assertHonest, assertQuiet, drive, metric, pause } from './oracle.ts'

quickFault('B11. a gateway that has just begun to listen refuses nobody', async t => {
  const system = await startSystem(t)
  const gateway = await startGateway(t, system)
  const answers = await many(10, 10, () => gateway.predict(fixture('ship.jpg')))
  assert.deepEqual(
    answers.map(({ body }) => body.error?.code ?? body.predictions?.[0]?.label),
    Array.from({ length: 10 }, () => 'ship')
  )
  await assertQuiet(system)
})

fault('B11. two gateways behind a balancer that asks every half second, 20 SIGTERMs: no error', async t => {
  const system = await startSystem(t, { workers: 2 })
  const env = { SHUTDOWN_DELAY_MS: '1500' }
  const gateways = [await startGateway(t, system, env), await startGateway(t, system, env)]
  const balancer = await startBalancer(t, gateways)
  const untilSent = (gateway: Gateway) => until('the balancer sends to it', () => balancer.sends(gateway))
  await Promise.all(gateways.map(untilSent))

  let rolled = false
  const load = drive(
    { predict: (image, options) => predictAt(balancer.url, image, options) },
    { concurrency: 8, until: () => rolled }
  )
  for (let i = 0; i < 20; i++) {
    const gateway = gateways[i % 2] as Gateway
    gateway.process.signal('SIGTERM')
    assert.equal(await gateway.process.exited(), 0)
    await gateway.restart()
    await untilSent(gateway)
    await pause(500)
  }
  rolled = true
  const tally = await load
  t.diagnostic(JSON.stringify(tally))
  assertHonest(tally)
  for (const { url } of gateways) await assertQuiet({ ...system, url })
})

fault('B12. SIGTERM with an upload that never ends: over with the deadline of what is open', async t => {
  const system = await startSystem(t, { env: { REQUEST_TIMEOUT_MS: '2000' } })
  const upload = connect(system.port, '127.0.0.1')
  t.after(() => upload.destroy())
  upload.on('error', () => {})
  const image = fixture('ship.jpg')
  upload.write(
    `POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/jpeg\r\nContent-Length: ${image.length}\r\n\r\n`
  )
  upload.write(image.subarray(0, 2_000))
  await until('it has begun', async () => (await metric(system, 'streamsight_held_bytes')) > 0)
  const startedMs = performance.now()
  assert.equal(await system.gateway.stop('SIGTERM'), 0)
  const tookMs = performance.now() - startedMs
  t.diagnostic(`ended after ${Math.round(tookMs)} ms`)
  assert.ok(tookMs < 10_000, `${tookMs} ms`)
})

fault('B12. SIGTERM to a worker that never reached Redis: over at once', async t => {
  const worker = startProcess({
    args: ['apps/worker/dist/main.js'],
    env: { REDIS_URL: `redis://127.0.0.1:${await freePort()}` }
  })
  t.after(() => worker.stop('SIGKILL'))
  await worker.untilLog('it tries', ({ event }) => event === 'redis-away')
  const startedMs = performance.now()
  await worker.stop('SIGTERM')
  const tookMs = performance.now() - startedMs
  t.diagnostic(`ended after ${Math.round(tookMs)} ms`)
  assert.ok(tookMs < 10_000, `${tookMs} ms`)
})

fault('B13. a second worker of the same slot says so, and no job is done twice', async t => {
  const system = await startSystem(t)
  const second = system.addWorker(1)
  const warns = (line: LogLine) => Number(line['level']) >= 40 && /slot/i.test(JSON.stringify(line))
  await until('it says so', () => second.lines.some(warns) || second.noise.some(line => /slot/i.test(line)))
  await until('it works or has ended', () => !second.isRunning() || second.lines.some(({ event }) => event === 'ready'))

  const answers = await many(60, 12, async i => {
    const { image, label } = fixtures[i % fixtures.length] as (typeof fixtures)[number]
    return { label, ...(await system.predict(image)) }
  })
  for (const { body, label } of answers) assert.equal(body.predictions?.[0]?.label, label)
  await until('each is in the log', () => jobsOf(system.workers) >= 60)
  await assertQuiet(system)
  assert.equal(jobsOf(system.workers), 60, 'none was done twice')
})

function jobsOf(workers: ReadonlyArray<{ lines: LogLine[] }>): number {
  return workers.flatMap(({ lines }) => lines).filter(({ event }) => event === 'job').length
}

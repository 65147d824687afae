import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test, type TestContext } from 'node:test'
import { createConnection, keysOf, readWorkers } from '@streamsight/protocol'
import { freePort, startRedis } from '../scripts/redis.js'
import { readReply } from './support/client.ts'
import { silentLog } from './support/log.ts'
import { startProcess, type Process } from './support/process.ts'
import { fixture, startSystem } from './support/system.ts'
import { until } from './support/until.ts'

/** Far longer than any of this takes, and far shorter than the deadlines that it must not wait for. */
const soonMs = 12_000

async function endsSoon(app: Process, signal: NodeJS.Signals): Promise<void> {
  app.signal(signal)
  await until(`it ends after ${signal}`, () => !app.isRunning(), soonMs)
  assert.equal(await app.exited(), 0)
}

function startWorker(t: TestContext, env: Record<string, string>): Process {
  const worker = startProcess({ args: ['apps/worker/dist/main.js'], env: { MODELS: 'everyday', ...env } })
  t.after(() => worker.stop('SIGKILL'))
  return worker
}

test('B12: what is open when a gateway is told to end', async t => {
  const system = await startSystem(t)
  const worker = system.workers[0] as Process

  for (const [what, sent] of [
    ['half an upload', 'POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nhalf'],
    ['half a header', 'POST /predict HTTP/1.1\r\nHost:']
  ] as const) {
    await t.test(`${what} does not hold it up`, async t => {
      const socket = connect(system.port, '127.0.0.1')
      t.after(() => socket.destroy())
      const reply = readReply(socket).catch(() => undefined)
      await once(socket, 'connect')
      socket.write(sent)
      await system.predict(fixture('ship.jpg'))
      await endsSoon(system.gateway, 'SIGTERM')
      if (what === 'half an upload') assert.match((await reply)?.text ?? '', /"code":"SHUTTING_DOWN"/)
      await system.restartGateway()
    })
  }

  await t.test('what was received whole is answered before it ends', async () => {
    worker.signal('SIGSTOP')
    const answer = system.predict(fixture('ship.jpg'))
    await until('it is open', async () =>
      /^streamsight_open_requests 1$/m.test(await (await fetch(`${system.url}/metrics`)).text())
    )
    system.gateway.signal('SIGTERM')
    await system.gateway.untilLog('it was told to end', ({ event }) => event === 'drain')
    worker.signal('SIGCONT')
    const { status, body } = await answer
    assert.equal(status, 200)
    assert.equal(body.predictions?.[0]?.label, 'ship')
    assert.equal(await system.gateway.exited(), 0)
  })
})

test('B12: a worker that never reached Redis ends at once', async t => {
  const worker = startWorker(t, { REDIS_URL: `redis://127.0.0.1:${await freePort()}` })
  await worker.untilLog('it looks for Redis', ({ event }) => event === 'redis-away')
  await endsSoon(worker, 'SIGTERM')
})

test('B12: a worker that is still starting ends at once, and leaves no trace of itself', async t => {
  const redis = await startRedis()
  t.after(() => redis.stop())
  const worker = startWorker(t, { REDIS_URL: redis.url })
  await worker.untilLog('it has an engine', ({ event }) => event === 'engine')
  await endsSoon(worker, 'SIGTERM')
  assert.deepEqual(worker.noise, [])
  const connection = createConnection({ url: redis.url, name: 'test', log: silentLog })
  await connection.connect()
  t.after(() => connection.destroy())
  assert.deepEqual(await readWorkers(connection, keysOf('ss', 'everyday')), [])
})

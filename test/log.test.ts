import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, openSync, closeSync } from 'node:fs'
import { test, type TestContext } from 'node:test'
import { root } from '../scripts/bootstrap.js'
import { freePort, startRedis } from '../scripts/redis.js'
import { until } from './support/until.ts'

const withoutFullDevice = !existsSync('/dev/full') && 'there is no /dev/full'

/** An app of ours whose log goes to `stdout`. */
function startApp(
  t: TestContext,
  app: string,
  { stdout, env }: { stdout: number | 'pipe'; env: Record<string, string> }
) {
  const child = spawn(process.execPath, [`apps/${app}/dist/main.js`], {
    cwd: root,
    env: { PATH: process.env['PATH'] ?? '', HOST: '127.0.0.1', SHUTDOWN_DELAY_MS: '0', ...env },
    stdio: ['ignore', stdout, 'ignore']
  })
  t.after(() => child.kill('SIGKILL'))
  return child
}

async function exitCode(child: ChildProcess): Promise<number | null> {
  await until('it has ended', () => child.exitCode !== null || child.signalCode !== null)
  return child.exitCode
}

test(
  'B10: with its log on a full disk the system answers, and ends when it is told to',
  { skip: withoutFullDevice },
  async t => {
    const redis = await startRedis()
    t.after(() => redis.stop())
    const full = openSync('/dev/full', 'w')
    t.after(() => closeSync(full))
    const port = await freePort()
    const env = { REDIS_URL: redis.url, PORT: String(port), MODELS: 'everyday', LOG_LEVEL: 'trace' }
    const apps = ['gateway', 'worker'].map(app => startApp(t, app, { stdout: full, env }))
    const isReady = async () =>
      (await fetch(`http://127.0.0.1:${port}/health/ready`).catch(() => undefined))?.status === 200
    await until('the system is ready', isReady, 60_000)
    for (const app of apps) app.kill('SIGTERM')
    assert.deepEqual(await Promise.all(apps.map(exitCode)), [0, 0])
  }
)

test('B10: a log whose reader is gone stops nobody', async t => {
  const port = await freePort()
  const gateway = startApp(t, 'gateway', {
    stdout: 'pipe',
    env: { REDIS_URL: 'redis://127.0.0.1:1', PORT: String(port) }
  })
  assert.ok(gateway.stdout)
  await once(gateway.stdout, 'data')
  gateway.stdout.destroy()
  const ask = () => fetch(`http://127.0.0.1:${port}/nothing-here`).catch(() => undefined)
  await until('it answers', ask)
  for (let i = 0; i < 20; i++) assert.equal((await ask())?.status, 404)
  gateway.kill('SIGTERM')
  assert.equal(await exitCode(gateway), 0)
})

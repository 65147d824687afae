import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, mkdtempSync, openSync, rmSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { root } from '../../scripts/bootstrap.js'
import { freePort } from '../../scripts/redis.js'
import { fixture, many, predictAt, startSystem, type System } from '../support/system.ts'
import { until } from '../support/until.ts'
import { assertQuiet } from './oracle.ts'
import { fault } from './fault.ts'

/** What a log may hold before its disk is full. */
const diskBytes = 65_536

/** A process that hangs on its log answers nothing. */
const answerMs = 10_000

/** How long a process may take to end once it was told to. */
const endMs = 15_000

fault('B10. a log that can’t be written from the start: gateway and worker serve, and end when told', async t => {
  if (!existsSync('/dev/full')) return t.skip('this system has no /dev/full')
  const { url, processes } = await startLoggingTo(t, await startSystem(t, { workers: 0 }), '/dev/full')
  await assertServes(url)
  await assertEnd(processes)
})

fault('B10. a disk that fills up behind the log: gateway and worker serve, and end when told', async t => {
  const folder = mountSmallDisk(t)
  if (folder === undefined) return t.skip('a small disk can only be mounted by root')
  const system = await startSystem(t, { workers: 0 })
  const { url, processes } = await startLoggingTo(t, system, join(folder, 'log'))
  await until('the disk is full', async () => {
    await assertServes(url)
    return statfsSync(folder).bfree === 0
  })
  await assertServes(url)
  await assertQuiet({ ...system, url })
  await assertEnd(processes)
})

/** A gateway and a worker whose standard output is a file. */
async function startLoggingTo(t: TestContext, { redis, prefix }: System, path: string) {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const processes = ['gateway', 'worker'].map(app => {
    const file = openSync(path, 'a')
    const child = spawn(process.execPath, [`apps/${app}/dist/main.js`], {
      cwd: root,
      env: {
        PATH: process.env['PATH'] ?? '',
        REDIS_URL: redis.url,
        REDIS_PREFIX: prefix,
        MODELS: 'everyday',
        PORT: String(port)
      },
      stdio: ['ignore', file, 'ignore']
    })
    closeSync(file)
    t.after(() => child.kill('SIGKILL'))
    return child
  })
  await until('it is ready', async () => (await fetch(`${url}/health/ready`).catch(() => undefined))?.status === 200)
  return { url, processes }
}

async function assertServes(url: string): Promise<void> {
  const ask = () => predictAt(url, fixture('ship.jpg'), { signal: AbortSignal.timeout(answerMs) })
  for (const { status } of await many(50, 10, ask)) assert.equal(status, 200)
}

async function assertEnd(processes: Awaited<ReturnType<typeof startLoggingTo>>['processes']): Promise<void> {
  for (const child of processes) {
    const ended = once(child, 'exit', { signal: AbortSignal.timeout(endMs) })
    child.kill('SIGTERM')
    await ended
  }
}

/** A disk of `diskBytes`; undefined where we may not mount one. */
function mountSmallDisk(t: TestContext): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'streamsight-'))
  const isMounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${diskBytes}`, 'tmpfs', folder]).status === 0
  t.after(() => {
    if (isMounted) spawnSync('umount', ['--lazy', folder])
    rmSync(folder, { recursive: true })
  })
  return isMounted ? folder : undefined
}

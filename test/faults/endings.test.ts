import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import type { TestContext } from 'node:test'
import { descendantsOf, start, stillRunning, untilReady, type Started } from '../support/npm-start.ts'
import { until } from '../support/until.ts'
import { fault, quickFault } from './fault.ts'

const withoutScript = spawnSync('script', ['--version']).error !== undefined
const patienceMs = 10_000

/** Starts the system, ends it by `how`, and expects none of its processes to be left. */
async function leavesNothing(
  t: TestContext,
  how: (started: Started, pidOf: (what: RegExp) => number) => void,
  command?: [string, ...string[]]
): Promise<void> {
  const started = await start(t, {}, command)
  await untilReady(started)
  const rows = descendantsOf(started.child.pid ?? 0)
  for (const what of ['gateway/dist', 'worker/dist', 'redis-server|valkey-server'])
    assert.ok(
      rows.some(row => new RegExp(what).test(row.command)),
      `no process ${what}`
    )
  const pidOf = (what: RegExp) => rows.find(row => what.test(row.command))?.pid ?? assert.fail(`no process ${what}`)
  t.after(() => {
    for (const { pid } of stillRunning(rows)) process.kill(pid, 'SIGKILL')
  })

  how(started, pidOf)
  const ended = until('they have all ended', () => stillRunning(rows).length === 0, patienceMs)
  await ended.catch(() => assert.deepEqual(stillRunning(rows), [], `left after ${patienceMs} ms`))
}

const npm: [string, ...string[]] = ['npm', 'start']
const supervisor = /^\S*node scripts\/start\.js$/

quickFault('B14: SIGTERM to npm leaves no process behind', t =>
  leavesNothing(t, ({ child }) => void child.kill('SIGTERM'), npm)
)

quickFault('B14: kill -9 of what supervises the others leaves no process behind', t =>
  leavesNothing(t, ({ child }) => void child.kill('SIGKILL'))
)

fault('B14: a closed terminal leaves no process behind', async t => {
  if (withoutScript) return t.skip('script is not installed')
  await leavesNothing(t, ({ child }) => void child.kill('SIGKILL'), ['script', '-qec', 'npm start', '/dev/null'])
})

fault('B14: npm start | head leaves no process behind', t =>
  leavesNothing(
    t,
    ({ child, port }) => {
      child.stdout?.destroy()
      // The next line of the log finds out that nobody reads it.
      void fetch(`http://127.0.0.1:${port}/predict`, { method: 'POST' }).catch(() => {})
    },
    ['npm', '-s', 'start']
  )
)

fault('B14: SIGHUP leaves no process behind', t => leavesNothing(t, ({ child }) => void child.kill('SIGHUP')))

fault('B14: kill -9 of npm leaves no process behind', t =>
  leavesNothing(t, ({ child }) => void child.kill('SIGKILL'), npm)
)

fault('B14: kill -9 of what supervises and of the shell above it leaves no process behind', t =>
  leavesNothing(
    t,
    (_started, pidOf) => {
      process.kill(pidOf(/^sh -c/), 'SIGKILL')
      process.kill(pidOf(supervisor), 'SIGKILL')
    },
    npm
  )
)

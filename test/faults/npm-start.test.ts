import assert from 'node:assert/strict'
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import type { TestContext } from 'node:test'
import { root } from '../../scripts/bootstrap.js'
import { freePort } from '../../scripts/redis.js'
import { createMark } from '../support/leftovers.ts'
import { until } from '../support/until.ts'
import { fault } from './fault.ts'

/** Starting takes a build and a model's warm-up. */
const readyMs = 90_000

/** How long anything may live on. Generous: ten seconds is what it should be. */
const endMs = 20_000

/** How a person, a terminal or a supervisor of theirs ends `npm start`. */
const endings: Record<string, (started: Started) => void> = {
  'SIGTERM to npm': ({ child }) => child.kill('SIGTERM'),
  'SIGHUP to npm': ({ child }) => child.kill('SIGHUP'),
  'SIGINT to npm': ({ child }) => child.kill('SIGINT'),
  'kill -9 of npm': ({ child }) => child.kill('SIGKILL'),
  'kill -9 of the supervisor': started => process.kill(supervisorOf(started), 'SIGKILL'),
  'SIGHUP to the supervisor': started => process.kill(supervisorOf(started), 'SIGHUP')
}

for (const [name, end] of Object.entries(endings)) {
  fault(`B14. npm start ended by ${name}: no process lives on`, async t => {
    if (process.platform !== 'linux') return t.skip('what lives on is looked up in /proc')
    const started = await start(t, 'npm', ['start'])
    await untilReady(started)
    end(started)
    await assertNothingLeft(t, started)
  })
}

fault('B14. npm start in a terminal that is closed: no process lives on', async t => {
  if (process.platform !== 'linux') return t.skip('what lives on is looked up in /proc')
  if (spawnSync('script', ['--version']).status !== 0) return t.skip('script, which makes terminals, is not installed')
  const started = await start(t, 'script', ['--quiet', '--command', 'npm start', '/dev/null'])
  await untilReady(started)
  // Its end of the terminal goes with it.
  started.child.kill('SIGKILL')
  await assertNothingLeft(t, started)
})

fault('B14. npm start | head -1: no process lives on', async t => {
  if (process.platform !== 'linux') return t.skip('what lives on is looked up in /proc')
  const started = await start(t, 'sh', ['-c', 'npm --silent start | head -1'])
  await until('head has its line', () => started.output().includes('\n'), readyMs)
  await assertNothingLeft(t, started)
})

interface Started {
  child: ChildProcess
  port: number
  output: () => string
  processes: () => Map<number, string>
}

async function start(t: TestContext, command: string, args: string[]): Promise<Started> {
  const port = await freePort()
  const { env, processes } = createMark()
  const child = spawn(command, args, {
    cwd: root,
    env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', PORT: String(port), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    // As a shell does for each command of a terminal.
    detached: true
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', chunk => {
      output += chunk
    })
  t.after(() => {
    for (const pid of processes().keys()) process.kill(pid, 'SIGKILL')
  })
  return { child, port, output: () => output, processes }
}

async function untilReady({ output }: Started): Promise<void> {
  await until('npm start is ready', () => output().includes('Try:'), readyMs)
}

function supervisorOf({ processes }: Started): number {
  const found = [...processes()].find(([, command]) => /^\S*node scripts\/start\.js/.test(command))
  assert.ok(found, `no supervisor among ${[...processes().values()].join(', ')}`)
  return found[0]
}

async function assertNothingLeft(t: TestContext, { port, processes, output }: Started): Promise<void> {
  const startedMs = performance.now()
  try {
    await until('nothing lives on', () => processes().size === 0, endMs)
  } catch {
    assert.fail(`still there: ${[...processes().values()].join('; ')}\n${output().slice(-2_000)}`)
  }
  t.diagnostic(`all ended after ${Math.round(performance.now() - startedMs)} ms`)
  await assert.rejects(fetch(`http://127.0.0.1:${port}/health/live`), 'the port is free')
}

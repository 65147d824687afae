/** However `npm start` is ended, no process of it lives on. */
import assert from 'node:assert/strict'
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import type { TestContext } from 'node:test'
import { root } from '../../scripts/bootstrap.js'
import { freePort } from '../../scripts/redis.js'
import { createMark } from '../support/leftovers.ts'
import { descendantsOf, stillRunning } from '../support/npm-start.ts'
import { until } from '../support/until.ts'
import { fault, quickFault } from './fault.ts'

/** Starting takes a build and a model's warm-up. */
const readyMs = 90_000

/** How long anything may live on. Generous: ten seconds is what it should be. */
const endMs = 20_000

const supervisor = /^\S*node scripts\/start\.js/

/** How a person, a terminal or a supervisor ends `npm start`; `npm test` tries the two that differ most. */
const endings: Array<[name: string, end: (started: Started) => void, declare?: typeof fault]> = [
  ['SIGTERM to npm', ({ child }) => child.kill('SIGTERM'), quickFault],
  ['kill -9 of the supervisor', started => process.kill(pidOf(started, supervisor), 'SIGKILL'), quickFault],
  ['SIGHUP to npm', ({ child }) => child.kill('SIGHUP')],
  // A terminal sends it to all of the group; npm counts on that, and does not pass on what it alone gets.
  ['Ctrl-C', ({ child }) => process.kill(-(child.pid ?? 0), 'SIGINT')],
  ['kill -9 of npm', ({ child }) => child.kill('SIGKILL')],
  ['SIGHUP to the supervisor', started => process.kill(pidOf(started, supervisor), 'SIGHUP')],
  [
    'kill -9 of the supervisor and of the shell above it',
    started => {
      process.kill(pidOf(started, /^sh -c/), 'SIGKILL')
      process.kill(pidOf(started, supervisor), 'SIGKILL')
    }
  ]
]
for (const [name, end, declare = fault] of endings) {
  declare(`B14. npm start ended by ${name}: no process lives on`, async t => {
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

fault('B14. the reader of a running npm start goes: no process lives on', async t => {
  if (process.platform !== 'linux') return t.skip('what lives on is looked up in /proc')
  const started = await start(t, 'npm', ['--silent', 'start'])
  await untilReady(started)
  started.child.stdout?.destroy()
  // The next line of the log finds out that nobody reads it.
  void fetch(`http://127.0.0.1:${started.port}/predict`, { method: 'POST' }).catch(() => {})
  await assertNothingLeft(t, started)
})

interface Started {
  child: ChildProcess
  port: number
  output: () => string
  /** Those that run, by id: their command lines. */
  processes: () => Map<number, string>
}

async function start(t: TestContext, command: string, args: string[]): Promise<Started> {
  const port = await freePort()
  const mark = createMark()
  const child = spawn(command, args, {
    cwd: root,
    env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', PORT: String(port), ...mark.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    // As a shell does for each command of a terminal.
    detached: true
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', chunk => {
      output += chunk
    })
  // Whoever its parent is by then, a process has the mark; Redis writes its title over it, and is known by its parent.
  const known = new Map<number, string>()
  const processes = () => {
    for (const { pid, command } of descendantsOf(child.pid ?? 0)) known.set(pid, command)
    const rows = [...known].map(([pid, command]) => ({ pid, command }))
    return new Map([...mark.processes(), ...stillRunning(rows).map(({ pid, command }) => [pid, command] as const)])
  }
  t.after(() => {
    for (const pid of processes().keys()) process.kill(pid, 'SIGKILL')
  })
  return { child, port, output: () => output, processes }
}

/** Ready, and with every process that it is made of: else nothing would be shown by none that is left. */
async function untilReady({ output, processes }: Started): Promise<void> {
  await until('npm start is ready', () => output().includes('Try:'), readyMs)
  const commands = [...processes().values()]
  for (const what of [/gateway\/dist/, /worker\/dist/, /redis-server|valkey-server/])
    assert.ok(
      commands.some(command => what.test(command)),
      `no ${what.source} among ${commands.join(', ')}`
    )
}

function pidOf({ processes }: Started, what: RegExp): number {
  const found = [...processes()].find(([, command]) => what.test(command))
  assert.ok(found, `no ${what.source} among ${[...processes().values()].join(', ')}`)
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

import assert from 'node:assert/strict'
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { test, type TestContext } from 'node:test'
import { root } from '../scripts/bootstrap.js'
import { freePort } from '../scripts/redis.js'
import { until } from './support/until.ts'

interface Answered {
  predictions?: Array<{ label: string; id: string }>
}

const labelOf = ({ predictions }: Answered) => [predictions?.[0]?.label, predictions?.[0]?.id]

interface Started {
  child: ChildProcess
  port: number
  output: () => string
}

/** `npm start`'s own process, without npm around it. */
async function start(t: TestContext, env: Record<string, string> = {}): Promise<Started> {
  const port = Number(env['PORT'] ?? (await freePort()))
  const child = spawn(process.execPath, ['scripts/start.js'], {
    cwd: root,
    env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', PORT: String(port), ...env },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  let output = ''
  child.stdout.on('data', chunk => {
    output += chunk
  })
  child.stderr.on('data', chunk => {
    output += chunk
  })
  t.after(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGTERM')
    await once(child, 'exit')
  })
  return { child, port, output: () => output }
}

const untilReady = ({ output }: Started) =>
  until('npm start is ready', () => output().includes('Try:') || undefined, 60_000)

/** The processes that `npm start` runs, by what they are. */
function childrenOf({ child }: Started): Record<string, number> {
  const rows = execFileSync('ps', ['-eo', 'pid=,ppid=,args='], { encoding: 'utf8' }).trim().split('\n')
  return Object.fromEntries(
    rows.flatMap(row => {
      const [, pid, parent, command] = /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(row) ?? []
      const kind = /redis-server|valkey-server|gateway|worker/.exec(command ?? '')?.[0]
      return Number(parent) === child.pid && kind !== undefined ? [[kind.replace(/-server/, ''), Number(pid)]] : []
    })
  )
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

test('npm start prints a curl command that works, brings back what dies, and leaves no process behind', async t => {
  const started = await start(t)
  await untilReady(started)
  const [, command = ''] = /^ {2}(curl .*)$/m.exec(started.output()) ?? []
  const ask = () =>
    JSON.parse(execFileSync('sh', ['-c', `${command} -sS`], { cwd: root, encoding: 'utf8' })) as Answered
  // A drawn airplane: the nearest of ImageNet's classes.
  assert.deepEqual(labelOf(ask()), ['airliner', 'n02690373'])

  for (const kind of ['worker', 'redis', 'gateway']) {
    const before = childrenOf(started)[kind] ?? 0
    process.kill(before, 'SIGKILL')
    await until(`the ${kind} is back`, () => {
      const now = childrenOf(started)[kind]
      return now !== undefined && now !== before
    })
    await until(
      `it answers after the ${kind} died`,
      async () => (await fetch(`http://127.0.0.1:${started.port}/health/ready`).catch(() => undefined))?.status === 200,
      30_000
    )
    assert.deepEqual(labelOf(ask()), ['airliner', 'n02690373'])
    assert.match(started.output(), new RegExp(`${kind}.* ended \\(SIGKILL\\), starting it again in \\d+ ms`))
  }

  const pids = Object.values(childrenOf(started))
  assert.equal(pids.length, 3)
  started.child.kill('SIGINT')
  const [code] = await once(started.child, 'exit')
  assert.equal(code, 0)
  assert.deepEqual(pids.filter(isAlive), [])
})

test('a busy port is one line', async t => {
  const first = await start(t)
  await untilReady(first)
  const second = await start(t, { PORT: String(first.port) })
  const [code] = await once(second.child, 'exit')
  assert.equal(code, 1)
  assert.equal(second.output(), `streamsight: port ${first.port} is in use: stop what listens there, or set PORT\n`)
})

test('a worker that can’t start ends it all with its reason', async t => {
  const started = await start(t, { ENGINE: 'onnx-cuda' })
  const [code] = await once(started.child, 'exit')
  assert.equal(code, 1)
  assert.match(started.output(), /ENGINE=onnx-cuda can't run model "efficientnet-lite0" here: onnx-cuda: /)
  assert.match(started.output(), /worker-1 ended \(code 1\) before the system was ready/)
})

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { test } from 'node:test'
import { root } from '../scripts/bootstrap.js'
import { descendantsOf, start, stillRunning, untilReady, type Started } from './support/npm-start.ts'
import { until } from './support/until.ts'

interface Answered {
  predictions?: Array<{ label: string; id: string }>
}

const labelOf = ({ predictions }: Answered) => [predictions?.[0]?.label, predictions?.[0]?.id]

/** The processes that `npm start` runs, by what they are. */
function childrenOf({ child }: Started): Record<string, number> {
  return Object.fromEntries(
    descendantsOf(child.pid ?? 0).flatMap(({ pid, command }) => {
      const kind = /redis-server|valkey-server|gateway\/dist|worker\/dist/.exec(command)?.[0]
      return kind === undefined ? [] : [[kind.replace(/-server|\/dist/, ''), pid]]
    })
  )
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

  const rows = descendantsOf(started.child.pid ?? 0)
  assert.equal(Object.keys(childrenOf(started)).length, 3)
  started.child.kill('SIGINT')
  const [code] = await once(started.child, 'exit')
  assert.equal(code, 0)
  assert.deepEqual(stillRunning(rows), [])
  for (const line of started.log().trim().split('\n')) assert.doesNotThrow(() => JSON.parse(line), line)
})

test('a busy port is one line', async t => {
  const server = createServer().listen(0)
  t.after(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const started = await start(t, { PORT: String(port) })
  const [code] = await once(started.child, 'exit')
  assert.equal(code, 1)
  assert.equal(started.output(), `streamsight: port ${port} is in use: stop what listens there, or set PORT\n`)
})

test('a worker that can’t start ends it all with its reason', async t => {
  const started = await start(t, { ENGINE: 'onnx-cuda' })
  const [code] = await once(started.child, 'exit')
  assert.equal(code, 1)
  assert.match(started.output(), /ENGINE=onnx-cuda can't run model "efficientnet-lite0" here: onnx-cuda: /)
  assert.match(started.output(), /worker-1 ended \(code 1\) before the system was ready/)
})

import assert from 'node:assert/strict'
import { hostname } from 'node:os'
import { test } from 'node:test'
import { fixture, startSystem } from './support/system.ts'

const readyAs = (name: string) => (line: { event?: string; worker?: unknown }) =>
  line.event === 'ready' && line.worker === name
const first = `${hostname()}-1`

test('B13: a name is kept over kill -9, and taken by one worker at a time', async t => {
  const system = await startSystem(t, { restart: true })
  const worker = system.workers[0] ?? assert.fail('no worker')

  await t.test('a worker that comes back after kill -9 gets its own name back', async () => {
    const ready = () => worker.lines.filter(({ event }) => event === 'ready')
    worker.signal('SIGKILL')
    await worker.untilLog('it is ready again', () => ready().length === 2, 60_000)
    assert.deepEqual(
      ready().map(line => line['worker']),
      [first, first]
    )
    assert.ok(!worker.lines.some(({ event }) => event === 'name-taken'))
  })

  await t.test('a second worker with the same WORKER_SLOT says so, and takes the next name', async () => {
    const twin = system.addWorker(1)
    await twin.untilLog('it says that the name is taken', ({ event }) => event === 'name-taken', 60_000)
    await twin.untilLog('it works under another name', readyAs(`${first}.2`), 60_000)
    const { status } = await system.predict(fixture('ship.jpg'))
    assert.equal(status, 200)
    assert.equal(await twin.stop(), 0)
  })
})

test('B13: two workers that start at once with the same WORKER_SLOT get two names', async t => {
  const system = await startSystem(t, { workers: 0 })
  const twins = [system.addWorker(1), system.addWorker(1)]
  const lines = await Promise.all(
    twins.map(twin => twin.untilLog('it is ready', ({ event }) => event === 'ready', 60_000))
  )
  assert.deepEqual(lines.map(({ worker }) => worker).toSorted(), [first, `${first}.2`])
})

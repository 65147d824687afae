import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createExclusiveLock } from '../src/exclusive.ts'

/** Somebody who has a job in hand until `finish`. */
function busyNeighbour() {
  let finish = () => {}
  const idle = new Promise<void>(resolve => {
    finish = resolve
  })
  return { untilIdle: () => idle, finish }
}

const idle = { untilIdle: async () => {} }

/** Lets everything run that can. */
const settle = () => new Promise(resolve => setImmediate(resolve))

test('who is alone waits for what the others have in hand', async () => {
  const lock = createExclusiveLock()
  const other = busyNeighbour()
  for (const neighbour of [idle, other]) lock.join(neighbour)
  let ran = false
  const running = lock.runExclusive(idle, async () => {
    ran = true
  })
  await settle()
  assert.equal(ran, false)
  other.finish()
  await running
  assert.equal(ran, true)
})

test('nobody begins anything while one is alone, and everybody goes on afterwards', async () => {
  const lock = createExclusiveLock()
  const begun: string[] = []
  const { untilIdle: ended, finish: end } = busyNeighbour()
  const alone = lock.runExclusive(idle, async () => {
    begun.push('alone')
    await ended()
  })
  const shared = [
    lock.runShared(async () => {
      begun.push('a')
    }),
    lock.runShared(async () => {
      begun.push('b')
    })
  ]
  await settle()
  assert.deepEqual(begun, ['alone'])
  end()
  await Promise.all([alone, ...shared])
  assert.deepEqual(begun, ['alone', 'a', 'b'])
})

test('of several that want to be alone, one is at a time', async () => {
  const lock = createExclusiveLock()
  let inside = 0
  const task = async () => {
    inside++
    assert.equal(inside, 1)
    await settle()
    inside--
  }
  await Promise.all(Array.from({ length: 5 }, () => lock.runExclusive(idle, task)))
})

test('what was begun before is seen by who wants to be alone right after', async () => {
  const lock = createExclusiveLock()
  const { untilIdle: ended, finish: end } = busyNeighbour()
  const order: string[] = []
  const first = lock.runExclusive(idle, settle)
  let reading: Promise<void> = Promise.resolve()
  lock.join({ untilIdle: () => reading })
  // Both wait for the first to end, and go on in the same turn of the event loop.
  const shared = lock.runShared(
    () =>
      (reading = (async () => {
        await ended()
        order.push('shared')
      })())
  )
  const second = lock.runExclusive(idle, async () => {
    order.push('alone')
  })
  await first
  await settle()
  end()
  await Promise.all([shared, second])
  assert.deepEqual(order, ['shared', 'alone'])
})

test('an error ends an exclusive task like anything else, and reaches who asked for it', async () => {
  const lock = createExclusiveLock()
  await assert.rejects(
    lock.runExclusive(idle, async () => {
      throw new Error('Redis is away')
    }),
    /Redis is away/
  )
  assert.equal(await lock.runShared(async () => 1), 1)
})

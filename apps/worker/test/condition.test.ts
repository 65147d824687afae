import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createCondition } from '../src/batching/condition.ts'

test('what holds already is not waited for', async () => {
  await createCondition().until(() => true)
})

test('a waiter goes on at the change that makes its condition hold', async () => {
  const condition = createCondition()
  let room = 0
  let asked = 0
  const waiting = condition.until(() => {
    asked++
    return room > 1
  })
  room = 1
  condition.changed()
  await Promise.resolve()
  assert.equal(asked, 2)
  room = 2
  condition.changed()
  await waiting
  assert.equal(asked, 3)
})

test('what comes to hold without a change is not noticed: nobody looks again and again', async () => {
  const condition = createCondition()
  let holds = false
  let went = false
  const wait = async () => {
    await condition.until(() => holds)
    went = true
  }
  const waiting = wait()
  holds = true
  await new Promise(resolve => setImmediate(resolve))
  assert.equal(went, false)
  condition.changed()
  await waiting
})

test('one change wakes all who wait', async () => {
  const condition = createCondition()
  let open = false
  const waiting = Promise.all(Array.from({ length: 5 }, () => condition.until(() => open)))
  open = true
  condition.changed()
  await waiting
})

test('a change while nobody waits is forgotten', async () => {
  const condition = createCondition()
  condition.changed()
  let holds = false
  const waiting = condition.until(() => holds)
  holds = true
  condition.changed()
  await waiting
})

test('the next change is waited for once, and no longer than was said', async () => {
  const condition = createCondition()
  let went = 0
  const count = () => {
    went++
  }
  const first = condition.next(60_000).then(count)
  condition.changed()
  condition.changed()
  await first
  await condition.next(1).then(count)
  condition.changed()
  assert.equal(went, 2)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createAdmission } from '../src/requests/admission.ts'

test('no more requests come in than may be open, until one leaves', () => {
  const admission = createAdmission({ maxRequests: 2, maxBytes: 1_000 })
  const leave = admission.enter(1, 1)
  admission.enter(1, 1)
  assert.throws(() => admission.enter(1, 7), { code: 'OVERLOADED', statusCode: 503, retryAfterS: 7 })
  leave()
  admission.enter(1, 1)
  assert.equal(admission.requests, 2)
})

test('no more bytes come in than may be held, until some leave', () => {
  const admission = createAdmission({ maxRequests: 100, maxBytes: 1_000 })
  const leave = admission.enter(600, 1)
  admission.enter(400, 1)
  assert.equal(admission.bytes, 1_000)
  assert.throws(() => admission.enter(1, 1), { code: 'OVERLOADED' })
  admission.enter(0, 1)
  leave()
  assert.equal(admission.bytes, 400)
  admission.enter(600, 1)
})

test('who was refused holds nothing', () => {
  const admission = createAdmission({ maxRequests: 1, maxBytes: 1_000 })
  const leave = admission.enter(10, 1)
  assert.throws(() => admission.enter(10, 1))
  assert.deepEqual([admission.requests, admission.bytes], [1, 10])
  leave()
  assert.deepEqual([admission.requests, admission.bytes], [0, 0])
})

test('one body always fits, even one that is larger than the limit', () => {
  const admission = createAdmission({ maxRequests: 10, maxBytes: 1_000 })
  const leave = admission.enter(5_000, 1)
  assert.throws(() => admission.enter(1, 1), { code: 'OVERLOADED' })
  leave()
  admission.enter(5_000, 1)
})

test('everybody who waits for it to be empty is told, and only then', async () => {
  const admission = createAdmission({ maxRequests: 10, maxBytes: 1_000 })
  await admission.untilEmpty()
  const leave = [admission.enter(1, 1), admission.enter(1, 1)]
  const told: string[] = []
  const waiting = [
    admission.untilEmpty().then(() => told.push('one')),
    admission.untilEmpty().then(() => told.push('two'))
  ]
  leave[0]?.()
  await Promise.resolve()
  assert.deepEqual(told, [])
  leave[1]?.()
  await Promise.all(waiting)
  assert.deepEqual(told, ['one', 'two'])
})

test('who comes in at the last moment is waited for too', async () => {
  const admission = createAdmission({ maxRequests: 10, maxBytes: 1_000 })
  const leave = admission.enter(1, 1)
  const told: string[] = []
  const waiting = admission.untilEmpty().then(() => told.push('empty'))
  leave()
  const leaveLast = admission.enter(1, 1)
  await Promise.resolve()
  await Promise.resolve()
  assert.deepEqual(told, [])
  leaveLast()
  await waiting
  assert.deepEqual(told, ['empty'])
})

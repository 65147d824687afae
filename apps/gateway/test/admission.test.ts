import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { ApiError } from '../src/errors.ts'
import { createAdmission, type AdmissionLimits, type Place } from '../src/requests/admission.ts'

test('no more requests are worked on than may be, until one leaves', t => {
  const { admission, enter } = admissionOf(t, { maxRequests: 2 })
  const [first, second] = [enter(), enter()]
  const third = enter()
  first.arrived()
  second.arrived()
  assert.throws(() => third.arrived(), { code: 'OVERLOADED', statusCode: 503, retryAfterS: 7 })
  assert.throws(() => enter(), { code: 'OVERLOADED', retryAfterS: 7 })
  first.leave()
  enter().arrived()
  assert.deepEqual([admission.working, admission.uploads], [2, 1])
})

test('A1: what is declared costs nothing, what has arrived does', t => {
  const { admission, enter } = admissionOf(t, { maxBytes: 1_000 })
  const places = Array.from({ length: 100 }, () => enter())
  assert.equal(admission.bytes, 0)
  places[0]?.receive(600)
  places[1]?.receive(400)
  assert.equal(admission.bytes, 1_000)
  assert.throws(() => places[2]?.receive(1), { code: 'OVERLOADED' })
  places[0]?.leave()
  places[2]?.receive(600)
})

test('what is known to be needed no longer is given back', t => {
  const { admission, enter } = admissionOf(t, { maxBytes: 1_000 })
  const place = enter()
  place.receive(900)
  place.arrived()
  place.hold(100)
  assert.equal(admission.bytes, 100)
  enter().receive(900)
})

test('one body always fits, even one that is larger than the limit', t => {
  const { enter } = admissionOf(t, { maxBytes: 1_000 })
  const place = enter()
  place.receive(5_000)
  assert.throws(() => enter().receive(1), { code: 'OVERLOADED' })
  place.leave()
  enter().receive(5_000)
})

test('whoever leaves, leaves once', t => {
  const { admission, enter } = admissionOf(t)
  const place = enter()
  place.receive(10)
  place.leave()
  place.leave()
  place.receive(10)
  place.arrived()
  assert.deepEqual([admission.working, admission.uploads, admission.bytes], [0, 0, 0])
})

test('A2: a body below the minimum rate is cut off after the grace, one above it never', t => {
  const { admission, enter, pass, cutOff } = admissionOf(t, { minBytesPerS: 1_000, graceMs: 5_000 })
  const [slow, fast] = [enter(), enter()]
  admission.start()
  for (let second = 0; second < 60; second++) {
    slow.receive(second < 10 ? 1_000 : 1)
    fast.receive(1_000)
    pass(1_000)
    assert.equal(cutOff.has(fast), false)
    if (second < 10) assert.equal(cutOff.has(slow), false, 'it was fast enough for ten seconds')
  }
  assert.equal(cutOff.get(slow)?.code, 'REQUEST_TIMEOUT')
  assert.equal(admission.uploads, 1)
  assert.equal(admission.bytes, 60_000, 'what was cut off is forgotten')
})

test('A2: a burst does not buy a body the right to stand still', t => {
  const { admission, enter, pass, cutOff } = admissionOf(t, { minBytesPerS: 1_000, graceMs: 5_000 })
  const place = enter()
  admission.start()
  place.receive(10_000_000)
  for (let second = 0; second < 11; second++) pass(1_000)
  assert.equal(cutOff.get(place)?.code, 'REQUEST_TIMEOUT')
})

test('what has arrived is not measured any longer', t => {
  const { admission, enter, pass, cutOff } = admissionOf(t)
  const place = enter()
  admission.start()
  place.receive(1)
  place.arrived()
  for (let second = 0; second < 60; second++) pass(1_000)
  assert.equal(cutOff.size, 0)
  assert.equal(admission.working, 1)
})

test('A2: where uploads run short, the slowest goes, but nobody who has only just come', t => {
  const { enter, pass, cutOff } = admissionOf(t, { maxUploads: 3, minBytesPerS: 1_000 })
  const [silent, slow, fast] = [enter(), enter(), enter()]
  assert.throws(() => enter(), { code: 'OVERLOADED' }, 'all of them are fresh')
  slow.receive(100)
  fast.receive(100_000)
  pass(500)
  enter()
  enter()
  assert.deepEqual([...cutOff.keys()], [silent, slow])
  assert.throws(() => enter(), { code: 'OVERLOADED' }, 'the rest is fast or fresh')
})

test('A1: where bytes run short, uploads that stand still go first', t => {
  const { admission, enter, pass, cutOff } = admissionOf(t, { maxBytes: 1_000 })
  const held = enter()
  held.receive(999)
  admission.start()
  for (let second = 0; second < 3; second++) pass(1_000)
  enter().receive(500)
  assert.deepEqual([...cutOff.keys()], [held])
})

test('A8: one client has a share of the uploads, whatever others do', t => {
  const { enter, pass, cutOff } = admissionOf(t, { maxUploads: 10, maxUploadsPerClient: 2 })
  const [first] = [enter('a'), enter('a')]
  assert.throws(() => enter('a'), { code: 'RATE_LIMITED', statusCode: 429, retryAfterS: 1 })
  enter('b')
  pass(500)
  enter('a')
  assert.deepEqual([...cutOff.keys()], [first], 'its own slowest makes room')
})

test('everybody who waits for it to be empty is told, and only then', async t => {
  const { admission, enter } = admissionOf(t)
  await admission.untilEmpty()
  const places = [enter(), enter()]
  const told: string[] = []
  const waiting = [
    admission.untilEmpty().then(() => told.push('one')),
    admission.untilEmpty().then(() => told.push('two'))
  ]
  places[0]?.leave()
  await Promise.resolve()
  assert.deepEqual(told, [])
  places[1]?.leave()
  await Promise.all(waiting)
  assert.deepEqual(told, ['one', 'two'])
})

test('who comes in at the last moment is waited for too', async t => {
  const { admission, enter } = admissionOf(t)
  const place = enter()
  const told: string[] = []
  const waiting = admission.untilEmpty().then(() => told.push('empty'))
  place.leave()
  const last = enter()
  await Promise.resolve()
  await Promise.resolve()
  assert.deepEqual(told, [])
  last.leave()
  await waiting
  assert.deepEqual(told, ['empty'])
})

/** An admission on a clock that only `pass` moves, and who was cut off with what. */
function admissionOf(t: TestContext, differences: Partial<AdmissionLimits> = {}) {
  t.mock.timers.enable({ apis: ['setInterval'] })
  let nowMs = 1_000_000
  t.mock.method(performance, 'now', () => nowMs)
  const limits = { maxRequests: 100, maxUploads: 100, maxUploadsPerClient: 100, maxBytes: 1_000_000_000 }
  const admission = createAdmission({ ...limits, minBytesPerS: 1_000, graceMs: 5_000, ...differences })
  const cutOff = new Map<Place, ApiError>()
  t.after(admission.stop)
  return {
    admission,
    cutOff,
    enter(client = 'a'): Place {
      const place: Place = admission.enter({ client, retryAfterS: () => 7, cutOff: error => cutOff.set(place, error) })
      return place
    },
    pass(ms: number) {
      nowMs += ms
      t.mock.timers.tick(ms)
    }
  }
}

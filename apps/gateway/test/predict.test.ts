import assert from 'node:assert/strict'
import { test } from 'node:test'
import { requestIdOf, traceparentOf } from '../src/http/request-id.ts'
import { maxBodyBytes } from '../src/http/read-upload.ts'

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

test('a body may be as large as the base64 of the largest image, and a form around it', () => {
  for (const bytes of [1, 2, 3, 1_000, 10_485_760]) {
    const base64 = 4 * Math.ceil(bytes / 3)
    assert.ok(maxBodyBytes(bytes) >= base64 + '{"image":"data:image/jpeg;base64,"}'.length)
    assert.ok(maxBodyBytes(bytes) < base64 + 100_000)
  }
})

test('D: a well-formed x-request-id of the client is taken, any other is not', () => {
  for (const id of [
    'a',
    '18303226-6dfb-4d06-9fbe-b58c2abcc09f',
    'Root=1-67891233-abcdef012345678912345678',
    'x'.repeat(128)
  ])
    assert.equal(requestIdOf({ headers: { 'x-request-id': id } }), id)
  for (const id of ['', 'x'.repeat(129), 'a b', 'a"b', 'a\nb', '<script>', 'ü'])
    assert.match(requestIdOf({ headers: { 'x-request-id': id } }), uuid, id)
  assert.notEqual(requestIdOf({ headers: {} }), requestIdOf({ headers: {} }))
})

test('D: a well-formed traceparent is taken for the log', () => {
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  assert.equal(traceparentOf({ headers: { traceparent } }), traceparent)
  for (const wrong of ['', traceparent.toUpperCase(), traceparent.slice(1), `${traceparent}-x`])
    assert.equal(traceparentOf({ headers: { traceparent: wrong } }), undefined, wrong)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { requestIdOf } from '../src/http/predict.ts'
import { maxBodyBytes } from '../src/http/read-upload.ts'

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

test('without a key every request has an id of its own', () => {
  const ids = new Set(Array.from({ length: 1_000 }, () => requestIdOf({ headers: {} })))
  assert.equal(ids.size, 1_000)
  for (const id of ids) assert.match(id, uuid)
})

test('an empty key is none', () => {
  const headers = { 'idempotency-key': '' }
  assert.notEqual(requestIdOf({ headers }), requestIdOf({ headers }))
})

test('the same key of the same owner is the same request', () => {
  const headers = { 'idempotency-key': 'order-1', authorization: 'Bearer alpha' }
  assert.equal(requestIdOf({ headers }), requestIdOf({ headers: { ...headers } }))
  assert.match(requestIdOf({ headers }), uuid)
})

test('another owner, another key, or the two glued in another place is another request', () => {
  const ids = [
    { 'idempotency-key': 'order-1', authorization: 'Bearer alpha' },
    { 'idempotency-key': 'order-1', authorization: 'Bearer beta' },
    { 'idempotency-key': 'order-1' },
    { 'idempotency-key': 'order-2', authorization: 'Bearer alpha' },
    { 'idempotency-key': '-1', authorization: 'Bearer alphaorder' }
  ].map(headers => requestIdOf({ headers }))
  assert.equal(new Set(ids).size, ids.length)
})

test('the same key for another model is another request', () => {
  const headers = { 'idempotency-key': 'order-1' }
  const ids = ['/predict', '/predict?model=a', '/predict?topK=3&model=b'].map(url => requestIdOf({ headers, url }))
  assert.equal(new Set(ids).size, ids.length)
  assert.equal(requestIdOf({ headers, url: '/predict?model=a&topK=3' }), ids[1])
})

test('an id that was made of a key does not show it', () => {
  assert.doesNotMatch(
    requestIdOf({ headers: { 'idempotency-key': 'deadbeef', authorization: 'cafe' } }),
    /deadbeef|cafe/
  )
})

test('a body may be as large as the base64 of the largest image, and a form around it', () => {
  for (const bytes of [1, 2, 3, 1_000, 10_485_760]) {
    const base64 = 4 * Math.ceil(bytes / 3)
    assert.ok(maxBodyBytes(bytes) >= base64 + '{"image":"data:image/jpeg;base64,"}'.length)
    assert.ok(maxBodyBytes(bytes) < base64 + 100_000)
  }
})

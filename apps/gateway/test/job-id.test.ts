import assert from 'node:assert/strict'
import { test } from 'node:test'
import { jobIdOf } from '../src/requests/job-id.ts'

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

test('without a key every image has an id of its own', () => {
  const ids = new Set(Array.from({ length: 1_000 }, () => jobIdOf({}, 'a')))
  assert.equal(ids.size, 1_000)
  for (const id of ids) assert.match(id, uuid)
})

test('an empty key is none', () => {
  const headers = { 'idempotency-key': '' }
  assert.notEqual(jobIdOf(headers, 'a'), jobIdOf(headers, 'a'))
})

test('the same key of the same owner is the same image, however the owner’s key is spelled', () => {
  const headers = { 'idempotency-key': 'order-1', authorization: 'Bearer alpha' }
  assert.equal(jobIdOf(headers, 'a'), jobIdOf({ ...headers, authorization: 'bearer  alpha ' }, 'a'))
  assert.match(jobIdOf(headers, 'a'), uuid)
})

test('another owner, key or model, or two of them glued in another place, is another image', () => {
  const ids = [
    jobIdOf({ 'idempotency-key': 'order-1', authorization: 'Bearer alpha' }, 'a'),
    jobIdOf({ 'idempotency-key': 'order-1', authorization: 'Bearer beta' }, 'a'),
    jobIdOf({ 'idempotency-key': 'order-1' }, 'a'),
    jobIdOf({ 'idempotency-key': 'order-1' }, 'b'),
    jobIdOf({ 'idempotency-key': 'order-2', authorization: 'Bearer alpha' }, 'a'),
    jobIdOf({ 'idempotency-key': '-1', authorization: 'Bearer alphaorder' }, 'a')
  ]
  assert.equal(new Set(ids).size, ids.length)
})

test('an id that was made of a key does not show it', () => {
  assert.doesNotMatch(jobIdOf({ 'idempotency-key': 'deadbeef', authorization: 'Bearer cafe' }, 'a'), /deadbeef|cafe/)
})

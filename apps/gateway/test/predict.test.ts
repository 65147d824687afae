import assert from 'node:assert/strict'
import { test } from 'node:test'
import { maxBodyBytes } from '../src/http/predict.ts'

test('a body may be as large as the base64 of the largest image, and a form around it', () => {
  for (const bytes of [1, 2, 3, 1_000, 10_485_760]) {
    const base64 = 4 * Math.ceil(bytes / 3)
    assert.ok(maxBodyBytes(bytes) >= base64 + '{"image":"data:image/jpeg;base64,"}'.length)
    assert.ok(maxBodyBytes(bytes) < base64 + 100_000)
  }
})

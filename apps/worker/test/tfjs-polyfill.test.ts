import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'

test('CommonJS libraries find util.isNullOrUndefined once the TensorFlow.js engine is loaded', async () => {
  await import('../src/engines/tfjs.ts')
  const util = createRequire(import.meta.url)('util') as { isNullOrUndefined?: (value: unknown) => boolean }
  assert.deepEqual(
    [null, undefined, 0, ''].map(value => util.isNullOrUndefined?.(value)),
    [true, true, false, false]
  )
})

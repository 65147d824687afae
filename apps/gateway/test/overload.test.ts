import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ApiError } from '../src/errors.ts'
import type { Fleet } from '../src/requests/fleet.ts'
import { createOverload } from '../src/requests/overload.ts'

const requestTimeoutMs = 10_000
const bytes = 1_000

/** A fleet that does an image in so many milliseconds, and jobs that wait for it. */
function fleetOf({ imageMs, depth }: { imageMs: number; depth: number }): Fleet {
  return {
    imageMs: () => imageMs,
    queueMs: () => imageMs * depth,
    depth,
    maxDepth: () => 10
  } as Fleet
}

function retryAfterS(overload: ReturnType<typeof createOverload>, fleet: Fleet): number | undefined {
  try {
    overload.refuse(fleet, bytes)
    return undefined
  } catch (error) {
    assert.equal((error as ApiError).code, 'OVERLOADED')
    return (error as ApiError).retryAfterS
  }
}

test('B3. who is refused is told a time of its own, when what waits and those before it had their turn', () => {
  const overload = createOverload({ broker: { uploadWaitMs: () => 0, uploadMs: () => 0 }, requestTimeoutMs })
  const fleet = fleetOf({ imageMs: 500, depth: 10 })
  // 10 jobs of half a second, twice that as new clients come meanwhile; then a turn of a second each.
  assert.deepEqual(
    Array.from({ length: 4 }, () => retryAfterS(overload, fleet)),
    [10, 11, 12, 13]
  )
})

test('clients that come again without waiting send others away for no more than a deadline longer', () => {
  const overload = createOverload({ broker: { uploadWaitMs: () => 0, uploadMs: () => 0 }, requestTimeoutMs })
  const fleet = fleetOf({ imageMs: 500, depth: 10 })
  for (let i = 0; i < 1_000; i++) retryAfterS(overload, fleet)
  assert.equal(retryAfterS(overload, fleet), 20)
})

test('images that wait for the link count like those on the stream; nothing is refused below half a deadline', () => {
  const fleet = fleetOf({ imageMs: 1, depth: 1 })
  const waiting = (ms: number) =>
    createOverload({ broker: { uploadWaitMs: () => ms, uploadMs: () => 100 }, requestTimeoutMs })
  assert.equal(retryAfterS(waiting(5_000), fleet), undefined)
  assert.equal(retryAfterS(waiting(5_500), fleet), 12)
})

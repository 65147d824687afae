import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createBatchAssembly } from '../src/batching/batch-assembly.ts'
import { createImageWriter } from '../src/tensor.ts'
import { inputOf } from './support/pictures.ts'

/** Pictures of one pixel, in a batch of at most three; memory that came back holds sevens. */
function start() {
  const asked: number[] = []
  const forming = createBatchAssembly<{ rgb: Uint8Array }>({
    capacity: 3,
    imageValues: 3,
    allocate: floats => {
      asked.push(floats)
      return new Float32Array(floats).fill(7)
    },
    writeImage: createImageWriter(inputOf({ width: 1, scale: 1 }), 'NCHW')
  })
  return { forming, asked }
}

const pictureOf = (value: number) => ({ rgb: Uint8Array.of(value, value + 1, value + 2) })

test('each image is written into its place as it comes, into room for all', () => {
  const { forming, asked } = start()
  forming.add(pictureOf(10))
  forming.add(pictureOf(20))
  assert.deepEqual(
    forming.jobs.map(({ rgb }) => rgb[0]),
    [10, 20]
  )
  const { jobs, input } = forming.take()
  assert.equal(jobs.length, 2)
  assert.deepEqual(Array.from(input), [10, 11, 12, 20, 21, 22, 7, 7, 7])
  assert.deepEqual(asked, [9])
})

test('what was taken is gone, and the next batch has memory of its own', () => {
  const { forming, asked } = start()
  forming.add(pictureOf(10))
  const first = forming.take()
  assert.equal(forming.jobs.length, 0)
  forming.add(pictureOf(30))
  assert.deepEqual(Array.from(forming.take().input.subarray(0, 3)), [30, 31, 32])
  assert.deepEqual(Array.from(first.input.subarray(0, 3)), [10, 11, 12])
  assert.equal(asked.length, 2)
})

test('a batch that never began asks for no memory', () => {
  const { forming, asked } = start()
  assert.deepEqual(forming.take().jobs, [])
  assert.deepEqual(asked, [])
})

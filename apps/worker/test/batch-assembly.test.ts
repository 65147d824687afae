import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createBatchAssembly } from '../src/batching/batch-assembly.ts'
import { createImageWriter } from '../src/tensor.ts'
import { inputOf } from './support/pictures.ts'

/** Pictures of one pixel, in a batch of at most three; memory that came back holds sevens. */
function start() {
  const asked: number[] = []
  const assembly = createBatchAssembly<{ rgb: Uint8Array }>({
    capacity: 3,
    imageValues: 3,
    allocate: floats => {
      asked.push(floats)
      return new Float32Array(floats).fill(7)
    },
    writeImage: createImageWriter(inputOf({ width: 1, scale: 1 }), 'NCHW')
  })
  return { assembly, asked }
}

const pictureOf = (value: number) => ({ rgb: Uint8Array.of(value, value + 1, value + 2) })

test('each image is written into its place as it comes, into room for all', () => {
  const { assembly, asked } = start()
  assembly.add(pictureOf(10))
  assembly.add(pictureOf(20))
  assert.deepEqual(
    assembly.jobs.map(({ rgb }) => rgb[0]),
    [10, 20]
  )
  const { jobs, input } = assembly.take()
  assert.equal(jobs.length, 2)
  assert.deepEqual(Array.from(input), [10, 11, 12, 20, 21, 22, 7, 7, 7])
  assert.deepEqual(asked, [9])
})

test('what was taken is gone, and the next batch has memory of its own', () => {
  const { assembly, asked } = start()
  assembly.add(pictureOf(10))
  const first = assembly.take()
  assert.equal(assembly.jobs.length, 0)
  assembly.add(pictureOf(30))
  assert.deepEqual(Array.from(assembly.take().input.subarray(0, 3)), [30, 31, 32])
  assert.deepEqual(Array.from(first.input.subarray(0, 3)), [10, 11, 12])
  assert.equal(asked.length, 2)
})

test('a batch that never began asks for no memory', () => {
  const { assembly, asked } = start()
  assert.deepEqual(assembly.take().jobs, [])
  assert.deepEqual(asked, [])
})

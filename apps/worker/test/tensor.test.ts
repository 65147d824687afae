import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createImageWriter } from '../src/tensor.ts'
import { inputOf } from './support/pictures.ts'

/** Two pixels side by side: orange and a blue. */
const rgb = Uint8Array.of(200, 100, 50, 10, 20, 30)
const input = inputOf({ width: 2, height: 1, scale: 1 })

test('NHWC keeps the channels of a pixel together', () => {
  const tensor = new Float32Array(6)
  createImageWriter(input, 'NHWC')(rgb, tensor, 0)
  assert.deepEqual(Array.from(tensor), [200, 100, 50, 10, 20, 30])
})

test('NCHW puts one plane after another', () => {
  const tensor = new Float32Array(6)
  createImageWriter(input, 'NCHW')(rgb, tensor, 0)
  assert.deepEqual(Array.from(tensor), [200, 10, 100, 20, 50, 30])
})

test('BGR begins with blue in both layouts', () => {
  const tensor = new Float32Array(6)
  createImageWriter({ ...input, channels: 'BGR' }, 'NHWC')(rgb, tensor, 0)
  assert.deepEqual(Array.from(tensor), [50, 100, 200, 30, 20, 10])
  createImageWriter({ ...input, channels: 'BGR' }, 'NCHW')(rgb, tensor, 0)
  assert.deepEqual(Array.from(tensor), [50, 30, 100, 20, 200, 10])
})

test('a value is (pixel · scale − mean) ÷ std, plane by plane', () => {
  const tensor = new Float32Array(6)
  createImageWriter({ ...input, scale: 0.5, mean: [10, 20, 30], std: [2, 4, 5] }, 'NHWC')(rgb, tensor, 0)
  // (200/2 − 10)/2, (100/2 − 20)/4, (50/2 − 30)/5 and (10/2 − 10)/2, (20/2 − 20)/4, (30/2 − 30)/5
  assert.deepEqual(Array.from(tensor), [45, 7.5, -1, -2.5, -2.5, -3])
})

test('mean and std are in the order of the planes: Keras’ caffe weights', () => {
  const tensor = new Float32Array(6)
  createImageWriter({ ...input, channels: 'BGR', mean: [100, 110, 120] }, 'NCHW')(rgb, tensor, 0)
  assert.deepEqual(Array.from(tensor), [50 - 100, 30 - 100, 100 - 110, 20 - 110, 200 - 120, 10 - 120])
})

test('0 and 255 become −1 and 1 with MobileNet’s numbers', () => {
  const tensor = new Float32Array(3)
  createImageWriter(inputOf({ width: 1, scale: 1 / 127.5, mean: [1, 1, 1] }), 'NHWC')(
    Uint8Array.of(0, 255, 51),
    tensor,
    0
  )
  assert.deepEqual(Array.from(tensor), [-1, 1, Math.fround(-0.6)])
})

test('each image of a batch is written to its own place', () => {
  for (const layout of ['NHWC', 'NCHW'] as const) {
    const write = createImageWriter(input, layout)
    const alone = new Float32Array(6)
    write(rgb, alone, 0)
    const batch = new Float32Array(18).fill(-7)
    write(rgb, batch, 1)
    assert.deepEqual(
      Array.from(batch),
      [...Array.from({ length: 6 }, () => -7), ...alone, ...Array.from({ length: 6 }, () => -7)],
      layout
    )
  }
})

test('rows follow each other in an input that is not square', () => {
  const tensor = new Float32Array(18)
  const picture = Uint8Array.from({ length: 18 }, (_, i) => i)
  createImageWriter(inputOf({ width: 3, height: 2, scale: 1 }), 'NCHW')(picture, tensor, 0)
  assert.deepEqual(Array.from(tensor), [0, 3, 6, 9, 12, 15, 1, 4, 7, 10, 13, 16, 2, 5, 8, 11, 14, 17])
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { fromFloat16, toFloat16 } from '../src/engines/float16.ts'

const toBits = (value: number) => toFloat16(Float32Array.of(value))[0]
const toValue = (half: number) => fromFloat16(Uint16Array.of(half))[0]

/** From the tables of IEEE 754. */
const known: Array<[half: number, value: number]> = [
  [0x0000, 0],
  [0x8000, -0],
  [0x3c00, 1],
  [0xc000, -2],
  [0x3555, 0.333251953125],
  [0x7bff, 65_504],
  [0xfbff, -65_504],
  [0x0001, 2 ** -24],
  [0x8001, -(2 ** -24)],
  [0x03ff, 1023 * 2 ** -24],
  [0x0400, 2 ** -14],
  [0x7c00, Infinity],
  [0xfc00, -Infinity]
]

test('known halves are what IEEE 754 says, both ways', () => {
  for (const [half, value] of known) {
    assert.equal(toValue(half), value)
    assert.equal(toBits(value), half)
  }
})

test('every half comes back from float32 as it was', () => {
  const halves = Uint16Array.from({ length: 0x10000 }, (_, half) => half)
  const values = fromFloat16(halves)
  for (const [i, back] of toFloat16(values).entries()) {
    if (Number.isNaN(values[i])) assert.equal(back & 0x7fff, 0x7e00)
    else assert.equal(back, i)
  }
  assert.equal(values.filter(Number.isNaN).length, 2 * 1_023)
})

test('what lies between two halves becomes the nearer, and in the middle the even one', () => {
  for (let half = 0; half < 0x7bff; half++) {
    const [below = NaN, above = NaN] = fromFloat16(Uint16Array.of(half, half + 1))
    const middle = (below + above) / 2
    const even = half % 2 === 0 ? half : half + 1
    // The gap is at least 2⁻²⁴ and a tenth of it is far more than float32 rounds.
    const little = (above - below) / 10
    assert.deepEqual(
      [toBits(middle - little), toBits(middle), toBits(middle + little)],
      [half, even, half + 1],
      `between ${below} and ${above}`
    )
  }
})

test('what is too large becomes infinite, from the middle between the largest half and the next on', () => {
  assert.equal(toBits(65_519.99), 0x7bff)
  assert.equal(toBits(65_520), 0x7c00)
  assert.equal(toBits(-1e30), 0xfc00)
  assert.equal(toBits(NaN), 0x7e00)
  assert.equal(toBits(2 ** -25), 0, 'half of the least, a tie with 0')
  assert.equal(toBits(1.01 * 2 ** -25), 1)
})

test('no number moves by more than half the distance to its neighbours', () => {
  fc.assert(
    fc.property(fc.float({ min: -65_504, max: 65_504, noNaN: true }), value => {
      const back = toValue(toBits(value) ?? NaN) ?? NaN
      assert.ok(Math.abs(back - value) <= Math.max(2 ** -25, Math.abs(value) * 2 ** -11))
    })
  )
})

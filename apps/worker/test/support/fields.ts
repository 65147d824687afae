import assert from 'node:assert/strict'
import type { ImageFormat } from '@streamsight/images'
import { decoderOf, grid, inputOf, type Colour } from './pictures.ts'

/** Four fields, each of its own colour; a 2 × 2 input with the nearest kernel gives them in this order. */
export const fields: Colour[] = [
  [200, 60, 40],
  [60, 160, 80],
  [50, 70, 180],
  [230, 220, 120]
]

export const fieldsInput = inputOf({ width: 2, kernel: 'nearest' })

export const inFields = (colours: Colour[]): Colour[][] =>
  grid(32, 32, (x, y) => colours[(y < 16 ? 0 : 2) + (x < 16 ? 0 : 1)] ?? [0, 0, 0])

export interface Expectation {
  image: Buffer
  type: ImageFormat
  colours?: Colour[]
  within?: number
  what?: string
}

/** Decodes `image` into four fields and checks their colours. */
export async function assertFields({
  image,
  type,
  colours = fields,
  within = 2,
  what = type
}: Expectation): Promise<void> {
  const decoder = await decoderOf(fieldsInput)
  const rgb = await decoder.decode(image, type).finally(() => decoder.close())
  assert.equal(rgb.length, 12)
  const wanted = colours.flatMap(([red, green, blue]) => [red, green, blue])
  assert.ok(
    rgb.every((value, i) => Math.abs(value - (wanted[i] ?? NaN)) <= within),
    `${what}: ${rgb.join()} instead of ${wanted.join()}`
  )
}

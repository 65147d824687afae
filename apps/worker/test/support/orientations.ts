import { fields } from './fields.ts'
import type { Colour } from './pictures.ts'

/** Which field is stored where, from left to right and top to bottom, so that each EXIF orientation shows `fields`. */
const orders = {
  1: [0, 1, 2, 3],
  2: [1, 0, 3, 2],
  3: [3, 2, 1, 0],
  4: [2, 3, 0, 1],
  5: [0, 2, 1, 3],
  6: [1, 3, 0, 2],
  7: [3, 1, 2, 0],
  8: [2, 0, 3, 1]
}

/** The fields as a camera stores them, by the EXIF orientation that it says. */
export const stored: Array<{ orientation: number; colours: Colour[] }> = Object.entries(orders).map(
  ([orientation, order]) => ({
    orientation: Number(orientation),
    colours: order.map(i => fields[i] ?? [0, 0, 0])
  })
)

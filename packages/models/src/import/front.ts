import { rangeOf } from '@streamsight/keras/range'
import type { PixelFacts } from './inspected.ts'
import { rawPixels, unitPixels } from './preprocessing.ts'

/** What a graph does to pixels before its first layer: a channel becomes `factor` · pixel + `offset`. */
export interface Front {
  factor: number[]
  offset: number[]
  /** Names of the operators that compute it. */
  ops: string[]
}

export type ArithmeticOp = 'Add' | 'Sub' | 'Mul' | 'Div'

export function createFront(): Front {
  return { factor: [1, 1, 1], offset: [0, 0, 0], ops: [] }
}

/** Takes one more step into account, with one value or one for each channel. */
export function applyStep(front: Front, op: ArithmeticOp, values: readonly number[]): void {
  for (const channel of [0, 1, 2]) {
    const value = values[values.length === 1 ? 0 : channel] ?? 0
    const factor = op === 'Mul' ? value : op === 'Div' ? 1 / value : 1
    const term = op === 'Add' ? value : op === 'Sub' ? -value : 0
    front.factor[channel] = (front.factor[channel] ?? 1) * factor
    front.offset[channel] = (front.offset[channel] ?? 0) * factor + term
  }
}

/** What the first layer's input is 0 for: the mean that was subtracted. */
export function meansOf({ factor, offset }: Front): number[] {
  return offset.map((value, channel) => -value / (factor[channel] ?? 1))
}

/** How pixels must be prepared for a graph that begins so; nothing where that can't be told. */
export function pixelsOf(front: Front): PixelFacts {
  const range = front.ops.length === 0 ? undefined : rangeOf(front.factor, meansOf(front))
  if (range === undefined) return {}
  const from = `the model prepares pixels itself: ${front.ops.join(', ')}`
  if (range === '0-255') return rawPixels(from)
  // Models for 0-1 come from everywhere: nothing tells the order of their colours.
  const { scale, mean, std } = unitPixels(from)
  return { scale, mean, std }
}

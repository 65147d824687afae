import type { Expected } from './answers.ts'

/** How far answers are from what was expected. */
export interface Difference {
  /** The largest difference of one probability. */
  largest: number
  /** Mean over the pictures of half the sum of all differences: 0 is the same, 1 nothing in common. */
  mean: number
  /** Pictures with the same first class. */
  sameFirst: number
  pictures: number
}

export function differenceOf(expected: readonly Expected[], answers: readonly number[][]): Difference {
  const rows = expected.map(({ probabilities }, index) => rowDifference(probabilities, answers[index] ?? []))
  return {
    largest: Math.max(...rows.map(({ largest }) => largest)),
    mean: rows.reduce((sum, { distance }) => sum + distance, 0) / rows.length,
    sameFirst: rows.filter(({ isSameFirst }) => isSameFirst).length,
    pictures: rows.length
  }
}

/**
 * Whether no setting is wrong, though answers differ: JPEG decoders and resamplers round in their own ways. Measured against Pillow
 * with the default model on 12 photos, 2026-11-25: a mean of 0.017 with the right settings, 0.051 with another kernel.
 */
export function isClose({ mean, sameFirst, pictures }: Difference): boolean {
  return mean < 0.03 && sameFirst >= 0.95 * pictures
}

function rowDifference(expected: readonly number[], answer: readonly number[]) {
  const differences = expected.map((probability, index) => Math.abs(probability - (answer[index] ?? 0)))
  return {
    largest: Math.max(...differences),
    distance: differences.reduce((sum, difference) => sum + difference, 0) / 2,
    isSameFirst: indexOfGreatest(expected) === indexOfGreatest(answer)
  }
}

function indexOfGreatest(values: readonly number[]): number {
  return values.indexOf(Math.max(...values))
}

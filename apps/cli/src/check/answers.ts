import { readFile, stat } from 'node:fs/promises'
import { dirname, isAbsolute, join } from 'node:path'
import { ModelError, type Model } from '@streamsight/models'

/** A picture and what the model's own framework answered for it: one probability a class, in index order. */
export interface Expected {
  picture: string
  probabilities: number[]
}

/**
 * Reads what Python wrote: an object from each picture's name to its scores, logits or probabilities. Pictures lie in `photos`, or
 * beside the file. Throws a ModelError that names the entry.
 */
export async function readExpected(path: string, photos: string | undefined, model: Model): Promise<Expected[]> {
  const entries = Object.entries(await readObject(path))
  if (entries.length === 0) throw new ModelError(`${path}: holds no answers`)
  return await Promise.all(
    entries.map(async ([name, scores]) => {
      const picture = isAbsolute(name) ? name : join(photos ?? dirname(path), name)
      if ((await stat(picture).catch(() => undefined)) === undefined)
        throw new ModelError(
          `${path}: names "${name}", but there is no ${picture}: give the pictures' folder with --photos`
        )
      return { picture, probabilities: toProbabilities(scoresOf(scores, { path, name, model })) }
    })
  )
}

async function readObject(path: string): Promise<Record<string, unknown>> {
  const text = await readFile(path, 'utf8').catch((error: Error) => {
    throw new ModelError(`${path}: can't read it: ${error.message}`)
  })
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  } catch (error) {
    throw new ModelError(`${path}: not JSON: ${(error as Error).message}`)
  }
  throw new ModelError(`${path}: must be an object from each picture's name to its scores: docs/models.md has a recipe`)
}

/** One row for the picture, or a batch of one. A sigmoid unit gives one number: that of the second of two classes. */
function scoresOf(value: unknown, { path, name, model }: { path: string; name: string; model: Model }): number[] {
  const row: unknown = Array.isArray(value) && value.length === 1 && Array.isArray(value[0]) ? value[0] : value
  const { classes } = model.manifest.output
  const isNumbers = Array.isArray(row) && row.every(score => typeof score === 'number' && Number.isFinite(score))
  if (isNumbers && row.length === classes) return row as number[]
  if (isNumbers && row.length === 1 && classes === 2) return [1 - (row[0] as number), row[0] as number]
  const found = Array.isArray(row) ? `${row.length} values` : JSON.stringify(row)?.slice(0, 40)
  throw new ModelError(`${path}: "${name}" has ${found}; the model has ${classes} classes, and each needs a number`)
}

/** Probabilities as they are; anything else is taken for logits, as PyTorch's models give them. */
function toProbabilities(scores: number[]): number[] {
  const sum = scores.reduce((total, score) => total + score, 0)
  if (scores.every(score => score >= 0 && score <= 1) && Math.abs(sum - 1) < 0.02)
    return scores.map(score => score / sum)
  const greatest = Math.max(...scores)
  const weights = scores.map(score => Math.exp(score - greatest))
  const total = weights.reduce((a, b) => a + b, 0)
  return weights.map(weight => weight / total)
}

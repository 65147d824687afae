import { request } from 'undici'
import type { Upload } from '../load.ts'
import type { Contender } from './contenders.ts'

export interface Prediction {
  label: string
  probability: number
}

/**
 * How far a contender's probability of the top class may be from ours, as a share of it. Pillow's resampling is not libvips';
 * on the bench's pictures that makes 0.25 % at most. Another kernel, crop, scale or order of colours makes 1 % on some of them.
 */
export const tolerance = 0.005

/** How far the answer to a picture in a batch may be from the one it got alone: sums in another order make less than that. */
const driftInBatch = 0.001

/** The predictions for each upload, asked for one after the other. Throws where there are none. */
export async function askAlone(
  { name, url }: Pick<Contender, 'name' | 'url'>,
  uploads: readonly Upload[]
): Promise<Prediction[][]> {
  const answers: Prediction[][] = []
  for (const { body, contentType } of uploads) {
    const { statusCode, body: reply } = await request(`${url}/predict`, {
      method: 'POST',
      headers: { 'content-type': contentType },
      body
    })
    const text = await reply.text()
    const predictions = statusCode === 200 ? predictionsOf(text) : []
    if (predictions.length === 0) throw new Error(`${name} answered a picture with ${statusCode} ${text.slice(0, 200)}`)
    answers.push(predictions)
  }
  return answers
}

/** The largest difference to our probability of a top class, as a share of it. Throws if it is beyond the tolerance, or a top class another one. */
export function assertSameWork(name: string, theirs: Prediction[][], ours: Prediction[][]): number {
  const differences = ours.map(([our], picture) => {
    const their = theirs[picture]?.[0]
    const difference = our === undefined || their?.label !== our.label ? Infinity : differenceOf(their, our)
    if (difference <= tolerance) return difference
    throw new Error(
      `${name} does not do the same work: picture ${picture} is ${show(their)} to it and ${show(our)} to Streamsight; compare how both make pixels`
    )
  })
  return Math.max(...differences)
}

/** Whether an answer under load is the one that its picture got alone, in the probabilities of all its predictions. */
export function isAnswerTo(alone: readonly Prediction[][]): (answer: string, upload: number) => boolean {
  return (answer, upload) => {
    const predictions = predictionsOf(answer)
    return alone[upload]?.every((expected, i) => differenceOf(predictions[i], expected) <= driftInBatch) ?? false
  }
}

function differenceOf(prediction: Prediction | undefined, expected: Prediction): number {
  return Math.abs((prediction?.probability ?? Infinity) / expected.probability - 1)
}

function predictionsOf(answer: string): Prediction[] {
  return (JSON.parse(answer) as { predictions?: Prediction[] }).predictions ?? []
}

function show(prediction: Prediction | undefined): string {
  return prediction === undefined ? 'nothing' : `${prediction.label} with ${prediction.probability.toFixed(5)}`
}

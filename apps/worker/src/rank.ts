import type { Label, Manifest } from '@streamsight/models'
import type { Prediction } from '@streamsight/protocol'

/**
 * The `topK` best labels of one image, best first, with probabilities in [0, 1] that sum to 1 over all classes. `scores` has one
 * number a class: logits, or probabilities whose sum is off by what their type rounds.
 */
export function rank(
  scores: Float32Array,
  labels: readonly Label[],
  { activation, topK }: { activation: Manifest['output']['activation']; topK: number }
): Prediction[] {
  const best = indicesOfBest(scores, topK)
  // The largest is subtracted so that no exponential overflows.
  const greatest = scores[best[0] ?? 0] ?? 0
  const weight =
    activation === 'logits' ? (score: number) => Math.exp(score - greatest) : (score: number) => Math.max(0, score)
  let sum = 0
  for (const score of scores) sum += weight(score)
  return best.map(index => {
    const { label, id } = labels[index] ?? { label: String(index) }
    const probability = weight(scores[index] ?? 0) / sum
    return id === undefined ? { label, probability, index } : { label, probability, index, id }
  })
}

/** Of equal scores the first. To sort a thousand classes for the sake of five takes ten times as long. */
function indicesOfBest(scores: Float32Array, count: number): number[] {
  const best: number[] = []
  let least = -Infinity
  for (let index = 0; index < scores.length; index++) {
    const score = scores[index] as number
    if (best.length === count && score <= least) continue
    let place = best.length
    while (place > 0 && score > (scores[best[place - 1] as number] as number)) place--
    best.splice(place, 0, index)
    if (best.length > count) best.pop()
    least = scores[best.at(-1) as number] as number
  }
  return best
}

import type { Manifest } from '@streamsight/models'

export interface Prediction { label: string, probability: number }

/** The `topK` best labels of one image, best first, with probabilities in [0, 1]. `scores` has one number a class. */
export function rank (scores: Float32Array, labels: string[], { activation, topK }: { activation: Manifest['output']['activation'], topK: number }): Prediction[] {
  const probabilities = activation === 'logits' ? softmax(scores) : Array.from(scores)
  return probabilities
    .map((probability, index) => ({ label: labels[index] ?? String(index), probability }))
    .sort((a, b) => b.probability - a.probability)
    .slice(0, topK)
}

function softmax (logits: Float32Array): number[] {
  // The largest is subtracted so that no exponential overflows.
  const max = logits.reduce((a, b) => Math.max(a, b), -Infinity)
  const exponentials = Array.from(logits, logit => Math.exp(logit - max))
  const sum = exponentials.reduce((a, b) => a + b, 0)
  return exponentials.map(exponential => exponential / sum)
}

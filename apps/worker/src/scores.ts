import type { Manifest } from '@streamsight/models'

/** How far probabilities may be from a sum of 1: a softmax of a quantized model of many classes rounds most of them to 0. */
const tolerance = 0.1

/**
 * What is wrong with the scores of one image; undefined if nothing is. An infinite logit has no softmax, and probabilities
 * that don't sum to 1 are none.
 */
export function faultOf(scores: Float32Array, activation: Manifest['output']['activation']): string | undefined {
  let sum = 0
  let least = Infinity
  let greatest = -Infinity
  for (const score of scores) {
    sum += score
    if (score < least) least = score
    if (score > greatest) greatest = score
  }
  if (Number.isNaN(sum) || !Number.isFinite(greatest)) return 'gives scores that are not numbers, or are infinite'
  if (activation === 'logits' || (least >= -tolerance && Math.abs(sum - 1) <= tolerance)) return undefined
  return `gives scores that are no probabilities: they sum to ${sum.toPrecision(3)} and the least is ${least.toPrecision(3)}, and the manifest says "${activation}" (field "output.activation"; where the model ends before its softmax it must be "logits")`
}

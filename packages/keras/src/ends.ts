import { KerasError } from './error.ts'
import { channelsOf, describeShape, sizeOf, type Activation, type Layer, type Network } from './ir.ts'

/** What a layer's scores are: probabilities, of this much in all; or anything else. */
type Scores = { kind: 'softmax' | 'sigmoid'; mass: number; of: Layer } | { kind: 'other'; of: Layer }

/** A sum of probabilities must come this close to 1: weights in a file are rounded. */
const massTolerance = 1e-3

const logitKinds: ReadonlySet<Layer['kind']> = new Set<Layer['kind']>([
  'conv',
  'dense',
  'affine',
  'add',
  'globalPool',
  'pool',
  'logSoftmax'
])

/**
 * Whether a network gives probabilities or logits, found from its last layer backwards: a mean of softmaxes is as good as one.
 * `layers` have a last one of one axis. Throws a KerasError for scores that are neither.
 */
export function readEnds(
  layers: readonly Layer[],
  { stated }: { stated?: Activation | undefined } = {}
): Pick<Network, 'classes' | 'activation' | 'activationFrom'> {
  const last = layers.at(-1)
  if (last === undefined) throw new KerasError('the model has no layers')
  const units = sizeOf(last.shape)
  if (last.shape.length !== 1)
    throw new KerasError(
      `layer "${last.name}", the last, gives ${describeShape(last.shape)}: one score for each class is expected`
    )
  const scores = createScoring(layers)(last)
  if (scores.kind === 'other') return logitsOf(scores.of, { last, units, stated })
  assertMass(scores.mass, last)
  const from = describeEnd(scores, last)
  if (scores.kind === 'sigmoid') return { classes: 2, activation: 'sigmoid', activationFrom: from }
  if (units < 2)
    throw new KerasError(`layer "${last.name}", the last, gives 1 score: softmax over a single one is always 1`)
  return { classes: units, activation: 'softmax', activationFrom: from }
}

function logitsOf(
  scoring: Layer,
  { last, units, stated }: { last: Layer; units: number; stated: Activation | undefined }
): ReturnType<typeof readEnds> {
  if (isSigmoid(scoring))
    throw new KerasError(
      `layer "${scoring.name}": the model ends in a sigmoid of ${units} units, which answers a yes-or-no question ` +
        'for each; softmax over 2 or more classes, or a sigmoid of one unit, is needed'
    )
  if (!logitKinds.has(scoring.kind))
    throw new KerasError(
      `layer "${scoring.name}": the model ends in ${scoring.kind}; ` +
        'softmax, one sigmoid unit, or a layer without an activation is expected'
    )
  if (units > 1)
    return { classes: units, activation: 'logits', activationFrom: `layer "${last.name}" has no activation` }
  if (stated !== 'sigmoid')
    throw new KerasError(
      `layer "${last.name}", the last, gives 1 score without an activation: ` +
        'where it tells two classes apart, give --activation sigmoid, which is then added'
    )
  return { classes: 2, activation: 'sigmoid', activationFrom: 'a sigmoid was added as was asked for' }
}

function assertMass(mass: number, last: Layer): void {
  if (Math.abs(mass - 1) > massTolerance)
    throw new KerasError(
      `layer "${last.name}", the last, gives probabilities that add up to ${Number(mass.toPrecision(4))}, not 1: ` +
        'take their mean before saving the model'
    )
}

function describeEnd({ kind, of }: { kind: string; of: Layer }, last: Layer): string {
  const isMean = last.kind !== 'reshape' && last.name !== of.name
  return isMean ? `layer "${last.name}", a mean of probabilities` : `${kind} in layer "${of.name}"`
}

function isSigmoid(layer: Layer): boolean {
  return layer.kind === 'elementwise' && layer.function === 'sigmoid'
}

/** From a layer back to what decides about its scores. */
function createScoring(layers: readonly Layer[]) {
  const byName = new Map(layers.map(layer => [layer.name, layer]))
  const known = new Map<string, Scores>()
  return scoresOf

  function scoresOf(layer: Layer): Scores {
    const scores = known.get(layer.name) ?? compute(layer)
    known.set(layer.name, scores)
    return scores
  }

  function compute(layer: Layer): Scores {
    if (layer.kind === 'softmax') return { kind: 'softmax', mass: 1, of: layer }
    if (isSigmoid(layer) && channelsOf(layer.shape) === 1) return { kind: 'sigmoid', mass: 1, of: layer }
    const before = layer.inputs.flatMap(name => byName.get(name) ?? [])
    const [first] = before
    if (first === undefined) return { kind: 'other', of: layer }
    switch (layer.kind) {
      case 'reshape':
        return channelsOf(first.shape) === sizeOf(layer.shape) ? scoresOf(first) : { kind: 'other', of: layer }
      case 'globalPool':
      case 'pool':
        return layer.reduce === 'average' ? passedOn(layer, [first], 1) : { kind: 'other', of: layer }
      case 'affine':
        return passedOn(layer, [first], uniformScale(layer))
      case 'add':
        return passedOn(layer, before, 1)
      default:
        return { kind: 'other', of: layer }
    }
  }

  /** Of a layer that gives a multiple of the sum of its inputs; undefined for a factor means that it does not. */
  function passedOn(layer: Layer, inputs: readonly Layer[], factor: number | undefined): Scores {
    const scores = inputs.map(scoresOf)
    const sigmoid = scores.find(({ of }) => isSigmoid(of))
    const probabilities = scores.flatMap(score => (score.kind === 'other' ? [] : [score]))
    const [first] = probabilities
    if (first === undefined) return { kind: 'other', of: sigmoid?.of ?? layer }
    const isOneKind = probabilities.length === scores.length && probabilities.every(({ kind }) => kind === first.kind)
    if (factor === undefined || !isOneKind)
      throw new KerasError(
        `layer "${layer.name}": the model ends in probabilities that are shifted, weighed or mixed with other ` +
          'scores; the mean of probabilities is supported'
      )
    return { ...first, mass: factor * probabilities.reduce((sum, { mass }) => sum + mass, 0) }
  }
}

function uniformScale({ scale, offset }: Extract<Layer, { kind: 'affine' }>): number | undefined {
  const [first = 0] = scale
  const isUniform = first > 0 && scale.every(value => value === first) && offset.every(value => value === 0)
  return isUniform ? first : undefined
}

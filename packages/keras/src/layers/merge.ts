import { KerasError } from '../error.ts'
import { describeShape, type Layer, type Shape } from '../ir.ts'
import { describeLayer } from '../options.ts'
import { addAffine, type Build, type Builder } from './builder.ts'
import { withRank } from './shape.ts'

type MergeKind = 'add' | 'multiply' | 'maximum' | 'minimum'

export function elementwiseMerge(kind: MergeKind): Builder {
  return build => {
    assertSeveral(build)
    return merged(build, kind, build.inputs)
  }
}

export function merged(build: Build, kind: MergeKind, layers: readonly Layer[]): Layer {
  const rank = Math.max(...layers.map(({ shape }) => shape.length))
  const inputs = layers.map(input => withRank(build, input, rank))
  const shape = inputs.map(({ shape }) => shape).reduce((a, b) => broadcast(build, a, b))
  return build.add({ operation: { kind }, inputs, shape })
}

export function average(build: Build): Layer {
  assertSeveral(build)
  return addAffine(build, merged(build, 'add', build.inputs), { scale: 1 / build.inputs.length, offset: 0 })
}

export function subtract(build: Build): Layer {
  const [first, second] = build.inputs
  if (first === undefined || second === undefined || build.inputs.length > 2)
    throw new KerasError(`${describeLayer(build.layer)} has ${build.inputs.length} inputs, 2 are needed`)
  return addDifference(build, first, second)
}

export function addDifference(build: Build, first: Layer, second: Layer): Layer {
  return merged(build, 'add', [first, addAffine(build, second, { scale: -1, offset: 0 })])
}

export function concatenate(build: Build): Layer {
  const { options, inputs } = build
  assertSeveral(build)
  const shape = [...(inputs[0]?.shape ?? [])]
  const given = options.number('axis', -1)
  // Keras counts the batch as axis 0.
  const axis = given < 0 ? shape.length + given : given - 1
  if (!Number.isSafeInteger(axis) || axis < 0 || axis >= shape.length)
    options.refuse('axis', `an axis of ${describeShape(shape)} other than the batch is expected`)
  const fits = inputs.every(
    input => input.shape.length === shape.length && input.shape.every((size, i) => i === axis || size === shape[i])
  )
  if (!fits)
    throw new KerasError(
      `${describeLayer(build.layer)}: its inputs of ${inputs.map(({ shape }) => describeShape(shape)).join(' and ')} can't be joined`
    )
  shape[axis] = inputs.reduce((sum, input) => sum + (input.shape[axis] ?? 0), 0)
  return build.add({ operation: { kind: 'concatenate', axis }, inputs, shape })
}

function broadcast({ layer }: Build, a: Shape, b: Shape): Shape {
  return a.map((size, i) => {
    const other = b[i] ?? 1
    if (size !== other && size !== 1 && other !== 1)
      throw new KerasError(
        `${describeLayer(layer)}: its inputs of ${describeShape(a)} and ${describeShape(b)} don't go together`
      )
    return Math.max(size, other)
  })
}

function assertSeveral({ layer, inputs }: Build): void {
  if (inputs.length < 2)
    throw new KerasError(`${describeLayer(layer)} has ${inputs.length} inputs, 2 or more are needed`)
}

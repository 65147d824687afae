import { KerasError } from '../error.ts'
import { describeShape, type Layer, type Shape } from '../ir.ts'
import { describeLayer } from '../options.ts'
import { type Build, type Builder } from './builder.ts'
import { operator } from './operator.ts'
import { withRank } from './shape.ts'

export function elementwiseMerge(kind: 'add' | 'multiply'): Builder {
  return build => {
    // Keras 3 calls `x + 1` an Add too.
    if (build.layer.operand !== undefined) return operator(build)
    assertSeveral(build)
    const rank = Math.max(...build.inputs.map(({ shape }) => shape.length))
    const inputs = build.inputs.map(input => withRank(build, input, rank))
    const shape = inputs.map(({ shape }) => shape).reduce((a, b) => broadcast(build, a, b))
    return build.add({ operation: { kind }, inputs, shape })
  }
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

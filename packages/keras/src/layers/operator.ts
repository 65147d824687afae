import { KerasError } from '../error.ts'
import { type Layer } from '../ir.ts'
import { describeLayer } from '../options.ts'
import { addAffine, onlyInput, type Build } from './builder.ts'

/** x with a number on its right, by the operator's class in Keras 3 or its function in Keras 2. */
const operators: ReadonlyMap<string, (operand: number) => { scale: number; offset: number }> = new Map([
  ['Add', plus],
  ['__operators__.add', plus],
  ['math.add', plus],
  ['Subtract', operand => plus(-operand)],
  ['math.subtract', operand => plus(-operand)],
  ['Multiply', times],
  ['math.multiply', times],
  ['TrueDivide', operand => times(1 / operand)],
  ['Divide', operand => times(1 / operand)],
  ['math.truediv', operand => times(1 / operand)],
  ['math.divide', operand => times(1 / operand)]
])

/** Arithmetic written between layers, such as the `x / 127.5 - 1` of Keras' `preprocess_input`. */
export function operator(build: Build): Layer {
  const { layer, options } = build
  const name = layer.className === 'TFOpLambda' ? String(options.get('function')) : layer.className
  const affine = operators.get(name)
  if (affine === undefined)
    throw new KerasError(
      `${describeLayer(layer)}: "${name}" is not supported; those that are: ${[...operators.keys()].join(', ')}`
    )
  if (layer.operand === undefined)
    throw new KerasError(`${describeLayer(layer)}: ${name} is supported with a number on its right alone`)
  return addAffine(build, onlyInput(build), affine(layer.operand))
}

function plus(offset: number): { scale: number; offset: number } {
  return { scale: 1, offset }
}

function times(scale: number): { scale: number; offset: number } {
  return { scale, offset: 0 }
}

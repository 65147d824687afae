import { type Argument } from '../calls.ts'
import { KerasError } from '../error.ts'
import { channelsOf, type Layer } from '../ir.ts'
import { describeLayer, numbersIn } from '../options.ts'
import { addFunction } from './activation.ts'
import { addAffine, onlyInput, type Build, type Builder } from './builder.ts'
import { getItem, reverse, stack } from './channels.ts'
import { averageOver } from './pooling.ts'
import { resizeOperator } from './resize.ts'
import { addDifference, concatenate, merged } from './merge.ts'
import { passThrough } from './shape.ts'

/** By its class in Keras 3, or its function in Keras 2. */
const operators: ReadonlyMap<string, Builder> = new Map<string, Builder>([
  ...['Add', '__operators__.add', 'math.add', 'nn.bias_add'].map((name): [string, Builder] => [name, add]),
  ...['Subtract', 'math.subtract'].map((name): [string, Builder] => [name, subtract]),
  ...['Multiply', 'math.multiply'].map((name): [string, Builder] => [name, multiply]),
  ...['TrueDivide', 'Divide', 'math.truediv', 'math.divide'].map((name): [string, Builder] => [name, divide]),
  ...['GetItem', '__operators__.getitem', 'strided_slice'].map((name): [string, Builder] => [name, getItem]),
  ...['Flip', 'reverse'].map((name): [string, Builder] => [name, reverse]),
  ...['Stack', 'stack'].map((name): [string, Builder] => [name, stack]),
  ...['Mean', 'math.reduce_mean'].map((name): [string, Builder] => [name, averageOver]),
  ...['Resize', 'image.resize'].map((name): [string, Builder] => [name, resizeOperator]),
  ...['Cast', 'cast', 'identity', 'stop_gradient', 'StopGradient'].map((name): [string, Builder] => [
    name,
    passThrough
  ]),
  ['concat', concatenate],
  ...['softmax', 'log_softmax', 'relu', 'relu6', 'sigmoid', 'tanh', 'silu', 'gelu', 'elu', 'selu', 'softplus'].flatMap(
    (name): Array<[string, Builder]> => {
      const builder: Builder = build => addFunction(build, onlyInput(build), geluOf(build, name))
      return [`nn.${name}`, `math.${name}`, name, classOf(name)].map(alias => [alias, builder])
    }
  )
])

export const operatorClasses = [...operators.keys()].filter(name => /^[A-Z]/.test(name))

/** Arithmetic written between layers, such as the `x / 127.5 - 1` of Keras' `preprocess_input`. */
export function operator(build: Build): Layer {
  const { layer, options } = build
  const isFunction = layer.className === 'TFOpLambda' || layer.className === 'SlicingOpLambda'
  const name = isFunction ? String(options.get('function')) : layer.className
  const builder = operators.get(name)
  if (builder === undefined)
    throw new KerasError(
      `${describeLayer(layer)}: "${name}" is not supported; those that are: ${[...operators.keys()].join(', ')}`
    )
  return builder(build)
}

/** `log_softmax` is LogSoftmax. */
function classOf(name: string): string {
  return name.replaceAll(/(^|_)([a-z])/g, (_, _dash, letter: string) => letter.toUpperCase())
}

/** An operator says by an argument which of the two it is. */
function geluOf({ layer, options }: Build, name: string): string {
  if (name !== 'gelu') return name
  const argument = layer.call?.named['approximate']
  const approximate =
    (argument !== undefined && 'value' in argument ? argument.value : undefined) ?? options.get('approximate')
  return approximate === false || (approximate === undefined && layer.className === 'TFOpLambda') ? 'gelu' : 'gelu_tanh'
}

type Operand = Layer | Float64Array

/** The two sides of an operator; a constant has one number for all channels, or one for each. */
function operandsOf({ layer, inputs }: Build): [Operand, Operand] {
  const { positional = [], named = {} } = layer.call ?? {}
  const [first, second = named['y'] ?? named['x2'] ?? named['bias']] = [
    ...positional,
    ...[named['x1']].filter(isPresent)
  ]
  const channels = inputs[0] === undefined ? 1 : channelsOf(inputs[0].shape)
  return [operand(first ?? { input: 0 }), operand(second ?? { input: 1 })]

  function operand(argument: Argument<number>): Operand {
    const input = 'input' in argument ? inputs[argument.input] : undefined
    if (input !== undefined) return input
    const numbers = 'value' in argument ? numbersIn(argument.value) : []
    if (numbers.length === 1 || numbers.length === channels) return Float64Array.from(numbers)
    throw new KerasError(
      `${describeLayer(layer)}: has ${numbers.length} numbers beside its input of ${channels} channels: 1 or ${channels} are needed`
    )
  }
}

function isPresent<Value>(value: Value | undefined): value is Value {
  return value !== undefined
}

function add(build: Build): Layer {
  const [a, b] = operandsOf(build)
  if (isConstant(a)) return isConstant(b) ? refuse(build) : addAffine(build, b, { scale: 1, offset: perChannel(a, b) })
  return isConstant(b) ? addAffine(build, a, { scale: 1, offset: perChannel(b, a) }) : merged(build, 'add', [a, b])
}

function subtract(build: Build): Layer {
  const [a, b] = operandsOf(build)
  if (isConstant(a)) return isConstant(b) ? refuse(build) : addAffine(build, b, { scale: -1, offset: perChannel(a, b) })
  return isConstant(b)
    ? addAffine(build, a, { scale: 1, offset: perChannel(b, a).map(value => -value) })
    : addDifference(build, a, b)
}

function multiply(build: Build): Layer {
  const [a, b] = operandsOf(build)
  if (isConstant(a)) return isConstant(b) ? refuse(build) : addAffine(build, b, { scale: perChannel(a, b), offset: 0 })
  return isConstant(b) ? addAffine(build, a, { scale: perChannel(b, a), offset: 0 }) : merged(build, 'multiply', [a, b])
}

function divide(build: Build): Layer {
  const [a, b] = operandsOf(build)
  if (isConstant(a) || !isConstant(b)) return refuse(build)
  return addAffine(build, a, { scale: perChannel(b, a).map(value => 1 / value), offset: 0 })
}

function isConstant(operand: Operand): operand is Float64Array {
  return operand instanceof Float64Array
}

function perChannel(numbers: Float64Array, { shape }: Layer): Float64Array {
  return Float64Array.from({ length: channelsOf(shape) }, (_, i) => numbers[i % numbers.length] ?? Number.NaN)
}

function refuse({ layer }: Build): never {
  throw new KerasError(`${describeLayer(layer)}: is supported with an input on its left and numbers on its right alone`)
}

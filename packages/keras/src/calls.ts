import { isConfig } from './config.ts'
import { KerasError } from './error.ts'

/** One output of one use of a layer; a layer used several times has its weights in all of them. */
export interface Reference {
  layer: string
  use: number
}
export type Argument<Input> = { input: Input } | { value: unknown }

/** The arguments of one use of a layer: those in order, and those by name. */
export interface Call<Input> {
  positional: ReadonlyArray<Argument<Input>>
  named: Readonly<Record<string, Argument<Input>>>
}

/** Every use of a layer. `inbound_nodes` has one entry for each, in the form of Keras 2 or of Keras 3. */
export function readCalls(inbound: unknown): Array<Call<Reference>> {
  const uses: unknown[] = Array.isArray(inbound) ? inbound : []
  const [first] = uses
  // Operators of Keras 2 are used once, and leave out a list: [["name", 0, 0, { "y": 2 }]].
  const isOneFlatUse = Array.isArray(first) && typeof first[0] === 'string'
  return isOneFlatUse ? [readKeras2Call(uses)] : uses.map(readCall)
}

function readCall(use: unknown): Call<Reference> {
  if (Array.isArray(use)) return readKeras2Call(use)
  const { args, kwargs } = isConfig(use) ? use : {}
  return {
    positional: Array.isArray(args) ? args.flatMap(argumentsIn) : [],
    named: Object.fromEntries(Object.entries(isConfig(kwargs) ? kwargs : {}).map(namedArgument))
  }
}

/** `["name", use, output, { other arguments }]` for each input; a number at the first place is `["_CONSTANT_VALUE", -1, 2]`. */
function readKeras2Call(entries: readonly unknown[]): Call<Reference> {
  const named = entries.map(entry => (Array.isArray(entry) ? entry[3] : undefined)).find(isConfig)
  return {
    positional: entries.flatMap(argumentsIn),
    named: Object.fromEntries(Object.entries(named ?? {}).map(namedArgument))
  }
}

function namedArgument([name, value]: [string, unknown]): [string, Argument<Reference>] {
  const inputs = argumentsIn(value).filter(argument => 'input' in argument)
  const [only] = inputs
  return [name, only !== undefined && inputs.length === 1 ? only : { value: plainValue(value) }]
}

/** An argument can be a list of layers, which are inputs one after the other. */
function argumentsIn(value: unknown): Array<Argument<Reference>> {
  const reference = referenceOf(value)
  if (reference !== undefined) return [{ input: reference }]
  if (Array.isArray(value) && value[0] === '_CONSTANT_VALUE') return [{ value: plainValue(value[2]) }]
  const inner = Array.isArray(value) ? value.flatMap(argumentsIn) : []
  return inner.some(argument => 'input' in argument) ? inner : [{ value: plainValue(value) }]
}

/** Every layer that a value such as `output_layers` refers to. */
export function referencesIn(value: unknown): Reference[] {
  return argumentsIn(value).flatMap(argument => ('input' in argument ? [argument.input] : []))
}

function referenceOf(value: unknown): Reference | undefined {
  if (Array.isArray(value)) return isHistory(value) ? referenceTo(value) : undefined
  const history = isConfig(value) && isConfig(value['config']) ? value['config']['keras_history'] : undefined
  return Array.isArray(history) && isHistory(history) ? referenceTo(history) : undefined
}

type History = readonly [string, number, number, ...unknown[]]

function isHistory(value: readonly unknown[]): value is History {
  const [name, use, output] = value
  return typeof name === 'string' && name !== '_CONSTANT_VALUE' && typeof use === 'number' && typeof output === 'number'
}

function referenceTo([layer, use, output]: History): Reference {
  if (output !== 0) throw new KerasError(`layer "${layer}" has several outputs, and another than the first is used`)
  return { layer, use }
}

/** Keras writes arrays, types, `...` and slices as objects. */
function plainValue(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plainValue)
  if (!isConfig(value)) return value
  const { class_name: className, config } = value
  if (className === '__ellipsis__') return '...'
  return isConfig(config) && 'value' in config ? config['value'] : value
}

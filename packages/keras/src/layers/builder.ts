import { KerasError } from '../error.ts'
import { channelsOf, type Layer, type Operation, type Shape, type Size } from '../ir.ts'
import { createOptions, describeLayer, type Options } from '../options.ts'
import { takeWeight, type WeightKind, type Weights } from '../weights.ts'
import { type KerasLayer } from '../topology.ts'

/** What a Keras layer's translation can ask for, and where it puts what it makes. */
export interface Build {
  layer: KerasLayer
  options: Options
  /** Never empty but for an input. */
  inputs: readonly Layer[]
  /** 2 or 3: some functions have changed their meaning. TensorFlow.js does as Keras 2 did. */
  kerasVersion: number
  /** The size of pictures, for a model that takes any. */
  size: Size | undefined
  layerNamed: (name: string) => Layer
  weight: (kind: WeightKind, shape: ReadonlyArray<number | undefined>) => { data: Float32Array; shape: Shape }
  /** The first layer made has the Keras layer's name, each further one `name/kind`. */
  add: (step: Step) => Layer
}

export interface Step {
  operation: Operation
  inputs: readonly Layer[]
  shape: Shape
}

/** Translates one Keras layer into layers of a network; gives the last of them, or its input if it does nothing. */
export type Builder = (build: Build) => Layer

export interface BuildOptions {
  layer: KerasLayer
  inputs: readonly Layer[]
  weights: Weights
  kerasVersion: number
  layers: Layer[]
  size?: Size | undefined
}

export function createBuild({ layer, inputs, weights, kerasVersion, layers, size }: BuildOptions): Build {
  const made = new Set<string>()

  function unusedName(kind: string): string {
    if (made.size === 0) return layer.name
    const name = `${layer.name}/${kind}`
    return made.has(name) ? `${name}-${made.size}` : name
  }

  return {
    layer,
    options: createOptions(layer),
    inputs,
    kerasVersion,
    size,
    layerNamed(name) {
      const found = layers.find(made => made.name === name)
      if (found === undefined) throw new KerasError(`${describeLayer(layer)}: refers to "${name}", which is not there`)
      return found
    },
    weight: (kind, shape) => takeWeight(weights, layer, { kind, shape }),
    add({ operation, inputs, shape }) {
      const name = unusedName(operation.kind)
      made.add(name)
      const added = { ...operation, name, inputs: inputs.map(({ name }) => name), shape }
      layers.push(added)
      return added
    }
  }
}

export function onlyInput({ layer, inputs }: Build): Layer {
  const [input] = inputs
  if (input === undefined || inputs.length > 1)
    throw new KerasError(`${describeLayer(layer)} has ${inputs.length} inputs, 1 is needed`)
  return input
}

/** An operation on one layer that keeps its shape. */
export function addSimple({ add }: Build, input: Layer, operation: Operation): Layer {
  return add({ operation, inputs: [input], shape: input.shape })
}

/** The same scale · x + offset for all channels, or one for each. */
export function addAffine(
  build: Build,
  input: Layer,
  { scale, offset }: { scale: number | Float64Array; offset: number | Float64Array }
): Layer {
  const perChannel = (value: number | Float64Array) =>
    typeof value === 'number' ? new Float32Array(channelsOf(input.shape)).fill(value) : Float32Array.from(value)
  return addSimple(build, input, { kind: 'affine', scale: perChannel(scale), offset: perChannel(offset) })
}

import { builderOf, preparesPixels } from './builders.ts'
import { readEnds } from './ends.ts'
import { foldAffine } from './fold.ts'
import { readFront } from './front.ts'
import { type Activation, type ArchitectureName, type Layer, type Network, type Size } from './ir.ts'
import { createBuild } from './layers/builder.ts'
import { type KerasLayer, type Topology } from './topology.ts'
import { type Weights } from './weights.ts'

/** What a person says of a model where its file can't. */
export interface Statements {
  /** The size of pictures, for a model that takes any. */
  size?: Size | undefined
  /** `sigmoid` adds one to a single score that has none. */
  activation?: Activation | undefined
}
interface Source extends Statements {
  topology: Topology
  weights: Weights
  kerasVersion: number
  architecture?: ArchitectureName | undefined
}

/** Translates Keras' layers, with normalization folded into the convolution or dense layer before it. Throws a KerasError. */
export function buildNetwork(source: Source): Network {
  const { topology, architecture, activation } = source
  const { layers: made, prepared, end } = buildLayers(source)
  const layers = ended(reaching(made, end), activation)
  const [height = 0, width = 0] = layers[0]?.shape ?? []
  const pixels = readFront({ layers, prepared })
  const ends = readEnds(layers, { stated: activation })
  return {
    name: topology.name,
    models: topology.models,
    input: { width, height },
    ...ends,
    ...(pixels === undefined ? {} : { pixels }),
    ...(architecture === undefined ? {} : { architecture }),
    layers: foldAffine(layers)
  }
}

interface Built {
  layers: Layer[]
  /** Names of those that came from layers which prepare pixels. */
  prepared: ReadonlySet<string>
  end: Layer | undefined
}

function buildLayers({ topology, weights, kerasVersion, size = resizedTo(topology.layers) }: Source): Built {
  const ends = new Map<string, Layer>()
  const layers: Layer[] = []
  const prepared = new Set<string>()
  for (const layer of topology.layers) {
    const inputs = layer.inputs.flatMap(name => ends.get(name) ?? [])
    const before = layers.length
    ends.set(layer.name, builderOf(layer)(createBuild({ layer, inputs, weights, kerasVersion, layers, size })))
    if (preparesPixels(layer)) for (const { name } of layers.slice(before)) prepared.add(name)
  }
  return { layers, prepared, end: ends.get(topology.layers.at(-1)?.name ?? '') }
}

/** The size to which a model that takes pictures of any size resizes them first. */
function resizedTo(layers: readonly KerasLayer[]): Size | undefined {
  const first = layers.slice(1).find(({ className }) => !/^(Random\w+|Rescaling|Cast)$/.test(className))
  const { height, width } = first?.className === 'Resizing' ? first.config : {}
  return typeof height === 'number' && typeof width === 'number' ? { height, width } : undefined
}

/** Only what the output is made of. */
function reaching(layers: readonly Layer[], end: Layer | undefined): Layer[] {
  const needed = new Set(end === undefined ? [] : [end.name])
  for (const { name, inputs } of layers.toReversed())
    if (needed.has(name)) for (const input of inputs) needed.add(input)
  return layers.filter(({ name, kind }) => needed.has(name) || kind === 'input')
}

/** With scores of one axis at the end, and with the sigmoid that was asked for. */
function ended(layers: readonly Layer[], activation: Activation | undefined): Layer[] {
  const last = layers.at(-1)
  if (last === undefined) return []
  const [height, width, channels] = last.shape
  const isOnePixel = last.shape.length === 3 && height === 1 && width === 1 && channels !== undefined
  const flat: Layer = isOnePixel
    ? { kind: 'reshape', name: `${last.name}/scores`, inputs: [last.name], shape: [channels] }
    : last
  const lacksSigmoid = activation === 'sigmoid' && flat.shape.length === 1 && flat.shape[0] === 1 && isLinear(last)
  const added: Layer[] = flat === last ? [] : [flat]
  if (lacksSigmoid)
    added.push({
      kind: 'elementwise',
      function: 'sigmoid',
      name: `${last.name}/sigmoid`,
      inputs: [flat.name],
      shape: flat.shape
    })
  return [...layers, ...added]
}

function isLinear({ kind }: Layer): boolean {
  return kind === 'dense' || kind === 'conv' || kind === 'affine' || kind === 'add' || kind === 'globalPool'
}

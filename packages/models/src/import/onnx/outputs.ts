import { TensorProto_DataType, type NodeProto, type ValueInfoProto } from 'onnx-buf'
import type { Label } from '../../store/labels.ts'
import { ModelError } from '../../store/error.ts'
import type { InspectOptions } from '../inspect.ts'
import type { Dims } from '../inspected.ts'
import { originOf, readEnd, type End } from './end.ts'
import type { OnnxGraph } from './graph-file.ts'

/** An output that may hold one score a class. */
export interface Scores {
  /** The graph's output, and the tensor of it: another one where the output is a map by label. */
  name: string
  tensor: string
  /** How many an image; undefined where the graph leaves that open. */
  count: number | undefined
  end: End | undefined
  labels?: Label[] | undefined
  /** Why it can be no class vector. */
  fault?: string | undefined
}

/**
 * The output with the scores: the only one, the one that was asked for, or of several the only one that can be it. Throws a
 * ModelError that lists them and says how to choose.
 */
export function chooseOutput(
  graph: OnnxGraph,
  { output: asked, labelCount }: InspectOptions,
  { path, batch }: { path: string; batch: number | undefined }
): Scores {
  const all = graph.outputs.map(output => scoresOf(graph, output, batch))
  const wanted = asked === undefined ? all : all.filter(({ name }) => name === asked)
  if (wanted.length === 0) throw new ModelError(`${path}: has no output "${asked}": its outputs are ${listed(all)}`)
  const possible = wanted.filter(({ fault }) => fault === undefined)
  const [only] = wanted
  if (possible.length === 0 && only !== undefined)
    throw new ModelError(
      wanted.length === 1
        ? `${path}: output "${only.name}" ${only.fault}`
        : `${path}: none of its outputs is a class vector: ${listed(wanted)}`
    )
  const left = narrow(possible, labelCount)
  const [scores] = left
  if (scores !== undefined && left.length === 1) return scores
  throw new ModelError(
    `${path}: has ${all.length} outputs, ${listed(all)}: say which one holds one score a class, for example --output ${scores?.name}`
  )
}

/** Each rule counts only where it leaves one at least. */
function narrow(possible: Scores[], labelCount: number | undefined): Scores[] {
  const rules: Array<(scores: Scores) => boolean> = [
    ({ count }) => labelCount !== undefined && count === labelCount,
    ({ end }) => end !== undefined && end.kind !== 'features',
    ({ end }) => end?.kind === 'probabilities'
  ]
  return rules.reduce((left, rule) => {
    const passed = left.length > 1 ? left.filter(rule) : []
    return passed.length > 0 ? passed : left
  }, possible)
}

function listed(all: Scores[]): string {
  return all
    .map(({ name, count, fault }) => `"${name}" (${fault ?? `${count ?? 'unknown number of'} scores`})`)
    .join(', ')
}

function scoresOf(graph: OnnxGraph, output: ValueInfoProto, batch: number | undefined): Scores {
  const { name, type } = output
  const map = graph.makers.get(name)
  if (map?.opType === 'ZipMap') return ofMap(graph, name, map)
  const tensor = type?.value.case === 'tensorType' ? type.value.value : undefined
  const dims = tensor === undefined ? [] : dimsOf(output)
  return {
    name,
    tensor: name,
    count: countOf(graph, dims, { name, batch }),
    end: readEnd(graph, name),
    fault: originOf(graph, name)?.opType === 'TopK' ? sorted : faultOf(tensor?.elemType, dims)
  }
}

/** A map from label to probability, made of a tensor that the graph has. Azure Custom Vision and scikit-learn end so. */
function ofMap(graph: OnnxGraph, name: string, { input, attribute }: NodeProto): Scores {
  const tensor = input[0] ?? ''
  const classes = attribute.find(({ name }) => name === 'classlabels_strings' || name === 'classlabels_int64s')
  const texts =
    classes === undefined
      ? []
      : [...classes.strings.map(bytes => new TextDecoder().decode(bytes)), ...classes.ints.map(String)]
  const end = readEnd(graph, tensor)
  return { name, tensor, count: texts.length || undefined, end, labels: texts.map(label => ({ label })) }
}

const sorted = 'ends in TopK, whose scores are sorted and so no longer in the order of the classes: export all scores'

function faultOf(type: number | undefined, dims: Dims): string | undefined {
  if (type === undefined) return 'is no tensor'
  if (type !== TensorProto_DataType.FLOAT && type !== TensorProto_DataType.FLOAT16)
    return `is ${elementName(type)}, and scores are float32 or float16: export the model with its scores as an output`
  // One for each class, and ones around it, as SqueezeNet ends.
  if (dims.slice(1).filter(dim => dim !== undefined && dim !== 1).length > 1)
    return (
      `is [${dims.map(dim => dim ?? 'N').join(', ')}], no vector with one score a class: ` +
      'this model makes pictures, boxes or features, not classes; only classifiers are served here'
    )
  return undefined
}

export function elementName(elemType: number | undefined): string {
  return elemType === undefined
    ? 'no tensor'
    : (TensorProto_DataType[elemType]?.toLowerCase() ?? `of the unknown type ${elemType}`)
}

/** The dimensions of an input or output; undefined where one is free. */
export function dimsOf({ type }: ValueInfoProto): Dims {
  const tensor = type?.value.case === 'tensorType' ? type.value.value : undefined
  return (
    tensor?.shape?.dim.map(({ value }) =>
      value.case === 'dimValue' && value.value > 0n ? Number(value.value) : undefined
    ) ?? []
  )
}

/** From the output's shape, or else from the weights of the last dense layer. */
function countOf(graph: OnnxGraph, dims: Dims, { name, batch }: { name: string; batch: number | undefined }) {
  const scores = dims.slice(1)
  if (scores.length > 0 && scores.every(dim => dim !== undefined))
    return scores.reduce((product, dim) => product * dim, 1)
  // Without N, as some models for one image do; or one score an image.
  if (dims.length === 1) return batch === 1 ? dims[0] : 1
  const dense = lastDense(graph, name)
  const weights = graph.initializers.get(dense?.input[1] ?? '')
  if (dense === undefined || weights?.dims.length !== 2) return undefined
  const transposed = dense.attribute.some(({ name, i }) => name === 'transB' && i === 1n)
  return Number(weights.dims[transposed ? 0 : 1])
}

function lastDense(graph: OnnxGraph, output: string): NodeProto | undefined {
  const isDense = ({ opType }: NodeProto) => opType === 'Gemm' || opType === 'MatMul'
  const end = readEnd(graph, output)?.node
  const before = end?.input.map(name => readEnd(graph, name)?.node).find(node => node !== undefined && isDense(node))
  return end !== undefined && isDense(end) ? end : (before ?? graph.nodes.findLast(isDense))
}

import type { NodeProto } from 'onnx-buf'
import { constantOf } from './constants.ts'
import type { OnnxGraph } from './graph-file.ts'

/**
 * What a tensor of scores is. `probabilities` sum to `mass` over the classes: a softmax to 1, the sum of two to 2. `features` are
 * what a network computes before its layer of scores.
 */
export type End =
  | { kind: 'probabilities'; mass: number; node: NodeProto }
  | { kind: 'logits' | 'sigmoid' | 'features'; node: NodeProto }

/** These change where or how scores are stored, not what they are. */
const passOn = new Set([
  'Identity',
  'Reshape',
  'Flatten',
  'Squeeze',
  'Unsqueeze',
  'Cast',
  'CastLike',
  'Dropout',
  'Transpose',
  'QuantizeLinear',
  'DequantizeLinear'
])
const softmax = new Set(['Softmax', 'QLinearSoftmax'])
const sigmoid = new Set(['Sigmoid', 'HardSigmoid', 'QLinearSigmoid'])
/** These give scores without bounds. The logarithm of a softmax is as good as logits: softmax gives back what it was made from. */
const logits = new Set([
  'Gemm',
  'MatMul',
  'Conv',
  'LogSoftmax',
  'BatchNormalization',
  'QGemm',
  'QLinearMatMul',
  'QLinearConv',
  'MatMulInteger',
  'FusedGemm',
  'FusedMatMul',
  'FusedConv'
])
const pools = new Set(['GlobalAveragePool', 'QLinearGlobalAveragePool', 'ReduceMean', 'AveragePool', 'GlobalMaxPool'])
const rectifiers = new Set(['Relu', 'Clip', 'LeakyRelu', 'HardSwish', 'Elu', 'PRelu', 'Gelu'])
const bounds = new Set(['Clip', 'Max', 'Min'])
/** What is added so that no logarithm of 0 is taken; it changes no answer. */
const negligible = 1e-4
const sums = new Set(['Add', 'Sum', 'Sub', 'QLinearAdd', 'Mean'])

/** The node that computes what a tensor holds, behind those that only pass it on. */
export function originOf({ makers }: OnnxGraph, tensor: string): NodeProto | undefined {
  let node = makers.get(tensor)
  while (node !== undefined && passOn.has(node.opType)) node = makers.get(node.input[0] ?? '')
  return node
}

/** What a tensor of the graph holds, found from its node backwards; undefined where nobody can tell. */
export function readEnd(graph: OnnxGraph, tensor: string, known = new Map<string, End | undefined>()): End | undefined {
  if (!known.has(tensor)) {
    const node = graph.makers.get(tensor)
    known.set(tensor, node && endOf(graph, node, name => readEnd(graph, name, known)))
  }
  return known.get(tensor)
}

type Follow = (tensor: string) => End | undefined

function endOf(graph: OnnxGraph, node: NodeProto, follow: Follow): End | undefined {
  const { opType, input } = node
  const [first = '', second = ''] = input
  if (passOn.has(opType)) return follow(first)
  if (softmax.has(opType)) return { kind: 'probabilities', mass: 1, node }
  if (sigmoid.has(opType)) return { kind: 'sigmoid', node }
  if (logits.has(opType)) return { kind: 'logits', node }
  if (pools.has(opType)) return pooled(graph, node, follow)
  if (opType === 'Mul' || opType === 'QLinearMul')
    return (
      scaled(node, { of: first, by: constantOf(graph, second) }, follow) ??
      scaled(node, { of: second, by: constantOf(graph, first) }, follow)
    )
  if (opType === 'Div') return divided(graph, node, follow)
  if (opType === 'Exp') return exponential(node, follow(first))
  if (opType === 'Log') return logarithm(node, follow(first))
  if (bounds.has(opType)) return bounded(graph, node, follow)
  if (opType === 'LpNormalization') return normalized(node)
  if (opType === 'Concat') return joined(graph, node, follow)
  return sums.has(opType) ? summed(graph, node, follow) : undefined
}

/** The mean of probabilities is probabilities; that of what a layer has rectified, a feature of the picture. */
function pooled(graph: OnnxGraph, node: NodeProto, follow: Follow): End | undefined {
  const [first = ''] = node.input
  const stacked = stackOf(graph, first)
  if (stacked !== undefined && node.opType === 'ReduceMean') return averaged(node, stacked.map(follow))
  const end = follow(first)
  if (end !== undefined)
    return end.kind === 'probabilities'
      ? { ...end, node }
      : { kind: end.kind === 'sigmoid' ? 'features' : end.kind, node }
  const before = graph.makers.get(node.input[0] ?? '')
  return before !== undefined && rectifiers.has(before.opType) ? { kind: 'features', node } : { kind: 'logits', node }
}

/** What PyTorch's `torch.stack` puts side by side along a new axis; undefined for a tensor that is no stack. */
function stackOf(graph: OnnxGraph, tensor: string): string[] | undefined {
  const maker = graph.makers.get(tensor)
  const isStack =
    maker?.opType === 'Concat' && maker.input.every(name => graph.makers.get(name)?.opType === 'Unsqueeze')
  return isStack ? maker.input : undefined
}

/** The mean of several models' scores, where they are of one kind. */
function averaged(node: NodeProto, ends: Array<End | undefined>): End | undefined {
  const [first] = ends
  const isOneKind = first !== undefined && ends.every(end => end?.kind === first.kind)
  if (!isOneKind) return undefined
  const masses = ends.flatMap(end => (end?.kind === 'probabilities' ? [end.mass] : []))
  if (masses.length === 0) return first
  return { kind: 'probabilities', mass: masses.reduce((sum, mass) => sum + mass, 0) / masses.length, node }
}

function scaled(
  node: NodeProto,
  { of, by }: { of: string; by: number[] | undefined },
  follow: Follow
): End | undefined {
  const end = by === undefined ? undefined : follow(of)
  if (by === undefined || end === undefined) return undefined
  if (end.kind !== 'probabilities') return end.kind === 'logits' ? { kind: 'logits', node } : undefined
  const [factor = 1] = by
  // A weight for each class makes other probabilities of them, which need not sum to 1.
  return by.every(value => value === factor) ? { ...end, mass: end.mass * factor, node } : undefined
}

/** By a number, or by its own sum over the classes, which makes probabilities of whatever is not negative. */
function divided(graph: OnnxGraph, node: NodeProto, follow: Follow): End | undefined {
  const [first = '', second = ''] = node.input
  const divisor = graph.makers.get(second)
  if (divisor?.opType === 'ReduceSum' && divisor.input[0] === first) return { kind: 'probabilities', mass: 1, node }
  const by = constantOf(graph, second)
  return scaled(node, { of: first, by: by?.map(value => 1 / value) }, follow)
}

/** `exp(log softmax)` is a softmax. */
function exponential(node: NodeProto, end: End | undefined): End | undefined {
  return end?.node.opType === 'LogSoftmax' ? { kind: 'probabilities', mass: 1, node } : undefined
}

/** As good as logits: their softmax is what the logarithm was taken of. */
function logarithm(node: NodeProto, end: End | undefined): End | undefined {
  return end?.kind === 'probabilities' ? { kind: 'logits', node } : undefined
}

/** Bounds with constants keep probabilities from 0 and 1, for a logarithm that follows elsewhere. */
function bounded(graph: OnnxGraph, { input }: NodeProto, follow: Follow): End | undefined {
  const scores = input.filter(name => name !== '' && constantOf(graph, name) === undefined)
  const end = scores.length === 1 ? follow(scores[0] ?? '') : undefined
  return end?.kind === 'probabilities' ? end : undefined
}

/** To a sum of 1: probabilities of whatever is not negative. The run at the end of an import would show other scores. */
function normalized(node: NodeProto): End | undefined {
  const isSum = node.attribute.some(({ name, i }) => name === 'p' && i === 1n)
  return isSum ? { kind: 'probabilities', mass: 1, node } : undefined
}

/** A sigmoid p beside 1 - p: both classes' probabilities. */
function joined(graph: OnnxGraph, node: NodeProto, follow: Follow): End | undefined {
  const [first = '', second = '', ...more] = node.input
  const isRest = (of: string, name: string) => {
    const maker = graph.makers.get(name)
    return maker?.opType === 'Sub' && maker.input[1] === of && constantOf(graph, maker.input[0] ?? '')?.[0] === 1
  }
  const isPair = more.length === 0 && (isRest(first, second) || isRest(second, first))
  const unit = isPair ? (follow(first) ?? follow(second)) : undefined
  return unit?.kind === 'sigmoid' ? { kind: 'probabilities', mass: 1, node } : undefined
}

/** Sum or mean of several. With a constant, as a bias is, logits stay logits. */
function summed(graph: OnnxGraph, node: NodeProto, follow: Follow): End | undefined {
  const isConstant = (name: string) => constantOf(graph, name) !== undefined || graph.initializers.has(name)
  const isNegligible = (name: string) =>
    constantOf(graph, name)?.every(value => Math.abs(value) <= negligible) === true && node.opType !== 'Mean'
  const terms = node.input.filter(name => !isNegligible(name))
  const ends = terms.filter(name => !isConstant(name)).map(follow)
  const masses = ends.map(end => (end?.kind === 'probabilities' ? end.mass : undefined))
  const isSum = ends.length === terms.length && (node.opType !== 'Sub' || ends.length === 1)
  if (masses.length > 0 && masses.every(mass => mass !== undefined) && isSum) {
    const sum = masses.reduce((total, mass) => total + mass, 0)
    return { kind: 'probabilities', mass: node.opType === 'Mean' ? sum / ends.length : sum, node }
  }
  return ends.every(end => end?.kind === 'logits') ? { kind: 'logits', node } : undefined
}

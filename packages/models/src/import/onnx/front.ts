import type { NodeProto } from 'onnx-buf'
import type { PixelFacts } from '../inspected.ts'
import { applyStep, createFront, meansOf, pixelsOf, type ArithmeticOp, type Front } from '../front.ts'
import { constantOf } from './constants.ts'
import type { OnnxGraph } from './graph-file.ts'

/** Bounds are a matter of course: a picture has none beyond. */
const passOn = new Set(['Identity', 'Cast', 'CastLike', 'Dropout', 'Transpose', 'Resize', 'Reshape', 'Clip'])
const arithmetic = new Set<string>(['Sub', 'Add', 'Mul', 'Div'] satisfies ArithmeticOp[])

/** How pixels must be prepared, as far as the first operators of a graph tell: what it scales itself must not be scaled before. */
export function readFront(graph: OnnxGraph, input: string): PixelFacts {
  const { swapped, ...front } = followInput(graph, input)
  const channels = orderOf(meansOf(front), swapped)
  const from = `the model prepares pixels itself: ${front.ops.join(', ')}`
  return { ...pixelsOf(front), ...(channels === undefined ? {} : { channels: { value: channels, from } }) }
}

/** `swapped`: whether the order of the colours is turned round. */
type OnnxFront = Front & { swapped: boolean }

/** Follows the picture from the input as long as one node alone takes it. */
function followInput(graph: OnnxGraph, input: string): OnnxFront {
  const front: OnnxFront = { ...createFront(), swapped: false }
  let tensor: string | undefined = input
  while (tensor !== undefined) {
    const [node, ...more]: NodeProto[] = graph.readers.get(tensor) ?? []
    tensor =
      node !== undefined && more.length === 0 && step(graph, { node, tensor, front }) ? node.output[0] : undefined
  }
  return front
}

/** Takes one node into account; false if the preparation ends before it. */
function step(
  graph: OnnxGraph,
  { node, tensor, front }: { node: NodeProto; tensor: string; front: OnnxFront }
): boolean {
  if (passOn.has(node.opType)) return node.input[0] === tensor
  if (isReversal(graph, node)) {
    front.swapped = !front.swapped
    front.ops.push(node.opType)
    return true
  }
  const other = node.input.find(name => name !== tensor)
  const values = arithmetic.has(node.opType) ? constantOf(graph, other ?? '') : undefined
  const isFirst = node.input[0] === tensor
  if (values === undefined || ![1, 3].includes(values.length) || (!isFirst && /Sub|Div/.test(node.opType))) return false
  applyStep(front, node.opType as ArithmeticOp, values)
  front.ops.push(node.opType)
  return true
}

/** RGB to BGR, or back: `x[..., ::-1]` and its like. */
function isReversal(graph: OnnxGraph, { opType, input }: NodeProto): boolean {
  if (opType === 'Gather') return String(constantOf(graph, input[1] ?? '')) === '2,1,0'
  return opType === 'Slice' && (constantOf(graph, input[4] ?? '')?.includes(-1) ?? false)
}

/** ImageNet's means are largest for red and least for blue: their order tells that of the colours. */
function orderOf([first = 0, second = 0, third = 0]: number[], swapped: boolean): 'RGB' | 'BGR' | undefined {
  if (first > second && second > third) return swapped ? 'BGR' : 'RGB'
  if (first < second && second < third) return swapped ? 'RGB' : 'BGR'
  return undefined
}

import type { NodeProto } from 'onnx-buf'
import type { PixelFacts } from '../inspected.ts'
import { identity, rawPixels } from '../preprocessing.ts'
import { constantOf } from './constants.ts'
import type { OnnxGraph } from './graph-file.ts'

/** What a graph does to pixels before its first layer: a channel becomes `factor` · pixel + `offset`. */
interface Front {
  factor: number[]
  offset: number[]
  /** Whether it turns the order of the colours round. */
  swapped: boolean
  /** Names of the operators that compute it. */
  ops: string[]
}

const passOn = new Set(['Identity', 'Cast', 'CastLike', 'Dropout', 'Transpose', 'Resize', 'Reshape'])
const arithmetic = new Set(['Sub', 'Add', 'Mul', 'Div'])

/** How pixels must be prepared, as far as the first operators of a graph tell: what it scales itself must not be scaled before. */
export function readFront(graph: OnnxGraph, input: string): PixelFacts {
  const { factor, offset, swapped, ops } = followInput(graph, input)
  if (ops.length === 0) return {}
  const from = `it prepares pixels itself: ${ops.join(', ')}`
  const largest = Math.max(...factor.map(Math.abs))
  const shift = Math.max(...offset.map((value, index) => Math.abs(value / (factor[index] ?? 1))))
  // Means above 2 are of pixels in 0-255, and so are factors that bring 255 down to a few units.
  const takesBytes = largest < 0.1 || shift > 2
  const channels = orderOf({ factor, offset, swapped, ops })
  return {
    ...(takesBytes
      ? rawPixels(from)
      : {
          scale: { value: 1 / 255, from },
          mean: { value: [...identity.mean], from },
          std: { value: [...identity.std], from }
        }),
    ...(channels === undefined ? {} : { channels: { value: channels, from } })
  }
}

/** Follows the picture from the input as long as one node alone takes it. */
function followInput(graph: OnnxGraph, input: string): Front {
  const front: Front = { factor: [1, 1, 1], offset: [0, 0, 0], swapped: false, ops: [] }
  let tensor: string | undefined = input
  while (tensor !== undefined) {
    const [node, ...more]: NodeProto[] = graph.readers.get(tensor) ?? []
    tensor =
      node !== undefined && more.length === 0 && step(graph, { node, tensor, front }) ? node.output[0] : undefined
  }
  return front
}

/** Takes one node into account; false if the preparation ends before it. */
function step(graph: OnnxGraph, { node, tensor, front }: { node: NodeProto; tensor: string; front: Front }): boolean {
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
  apply(front, node.opType, values)
  front.ops.push(node.opType)
  return true
}

function apply(front: Front, op: string, values: number[]): void {
  for (const channel of [0, 1, 2]) {
    const value = values[values.length === 1 ? 0 : channel] ?? 0
    const factor = op === 'Mul' ? value : op === 'Div' ? 1 / value : 1
    const term = op === 'Add' ? value : op === 'Sub' ? -value : 0
    front.factor[channel] = (front.factor[channel] ?? 1) * factor
    front.offset[channel] = (front.offset[channel] ?? 0) * factor + term
  }
}

/** RGB to BGR, or back: `x[..., ::-1]` and its like. */
function isReversal(graph: OnnxGraph, { opType, input }: NodeProto): boolean {
  if (opType === 'Gather') return String(constantOf(graph, input[1] ?? '')) === '2,1,0'
  return opType === 'Slice' && (constantOf(graph, input[4] ?? '')?.includes(-1) ?? false)
}

/** ImageNet's means are largest for red and least for blue: their order tells that of the colours. */
function orderOf({ factor, offset, swapped }: Front): 'RGB' | 'BGR' | undefined {
  const [first = 0, second = 0, third = 0] = offset.map((value, index) => -value / (factor[index] ?? 1))
  if (first > second && second > third) return swapped ? 'BGR' : 'RGB'
  if (first < second && second < third) return swapped ? 'RGB' : 'BGR'
  return undefined
}

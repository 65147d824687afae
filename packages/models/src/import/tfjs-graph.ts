import { endsInSigmoid, readPictureShape, type Activation, type Dims, type Topology } from './inspected.ts'
import { ModelError } from '../store/manifest.ts'

interface GraphNode {
  name: string
  op: string
  input?: string[]
  attr?: { shape?: { shape?: TensorShape } }
}
/** TensorFlow writes 64-bit numbers as strings; -1 is a dimension that is not fixed. */
interface TensorShape {
  dim?: Array<{ size?: string | number }>
}
interface TensorInfo {
  name?: string
  dtype?: string
  tensorShape?: TensorShape
}

/** A TensorFlow graph as TensorFlow.js stores it. */
export interface GraphTopology {
  node?: GraphNode[]
  signature?: { inputs?: Record<string, TensorInfo>; outputs?: Record<string, TensorInfo> } | undefined
}

/** These leave scores as they are. */
const passOn = new Set(['Identity', 'Reshape', 'Squeeze', 'Cast'])
const logits = new Set([
  'MatMul',
  '_FusedMatMul',
  'BiasAdd',
  'Add',
  'AddV2',
  'Conv2D',
  '_FusedConv2D',
  'Mean',
  'LogSoftmax'
])

/** Size, layout, classes and activation of a graph model, from its placeholder and its signature. */
export function readGraphTopology({ node: nodes = [], signature }: GraphTopology, path: string): Topology {
  const placeholders = nodes.filter(({ op }) => op === 'Placeholder')
  const [placeholder] = placeholders
  if (placeholder === undefined || placeholders.length > 1)
    throw new ModelError(
      `${path}: its graph has ${placeholders.length} placeholders; a classifier here has one, the picture`
    )
  const dims = dimsOf(Object.values(signature?.inputs ?? {})[0]?.tensorShape) ?? dimsOf(placeholder.attr?.shape?.shape)
  const [output] = Object.values(signature?.outputs ?? {})
  const scores = dimsOf(output?.tensorShape)?.slice(1)
  const classes = scores?.every(dim => dim !== undefined)
    ? scores.reduce((product, dim) => product * dim, 1)
    : undefined
  const { layout, size } = readPictureShape(dims ?? [], path)
  const activation = activationOf(nodes, output?.name, path)
  return {
    layout,
    facts: {
      size: size && { value: size, from: 'its placeholder' },
      classes: classes === undefined ? undefined : { value: classes, from: 'its signature' },
      activation: activation && { value: activation, from: 'its last node' }
    }
  }
}

function dimsOf(shape: TensorShape | undefined): Dims | undefined {
  return shape?.dim?.map(({ size }) => (Number(size) > 0 ? Number(size) : undefined))
}

/** Without a signature the scores come from the node that no other one reads. */
function activationOf(nodes: GraphNode[], outputName: string | undefined, path: string): Activation | undefined {
  const read = new Set(nodes.flatMap(({ input = [] }) => input.map(bare)))
  const unread = nodes.findLast(
    ({ name, op }) => !read.has(name) && op !== 'Const' && op !== 'Placeholder' && op !== 'NoOp'
  )
  let node = nodes.find(({ name }) => name === bare(outputName ?? '')) ?? unread
  while (node !== undefined && passOn.has(node.op)) {
    const before = bare(node.input?.[0] ?? '')
    node = nodes.find(({ name }) => name === before)
  }
  if (node?.op === 'Sigmoid') throw endsInSigmoid(path, 'sigmoid')
  if (node?.op === 'Softmax') return 'softmax'
  return node !== undefined && logits.has(node.op) ? 'logits' : undefined
}

/** A node's name without the number of its output and the mark of a control edge. */
function bare(name: string): string {
  return name.replace(/^\^/, '').replace(/:\d+$/, '')
}

import { endsInSigmoid, readPictureShape, type Activation, type Dims, type Topology } from './inspected.ts'
import { ModelError } from '../store/error.ts'
import { pixelsOf } from './front.ts'
import { assertNoCircle, bare, createEnds, readGraphFront, type Constants, type GraphNode } from './tfjs-graph-ends.ts'

interface PlacedNode extends GraphNode {
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
  node?: PlacedNode[]
  signature?: { inputs?: Record<string, TensorInfo>; outputs?: Record<string, TensorInfo> } | undefined
}

/** Size, layout, classes and activation of a graph model, from its placeholder and its signature. */
export function readGraphTopology(
  { node: nodes = [], signature }: GraphTopology,
  constants: Constants,
  path: string
): Topology {
  assertNoCircle(nodes, path)
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
  const activation = activationOf(nodes, { outputName: output?.name, constants, classes, path })
  return {
    layout,
    facts: {
      size: size && { value: size, from: 'its placeholder' },
      classes:
        classes === undefined ? undefined : { value: activation === 'sigmoid' ? 2 : classes, from: 'its signature' },
      activation: activation && { value: activation, from: 'its last node' },
      ...pixelsOf(readGraphFront(nodes, constants, placeholder.name))
    }
  }
}

function dimsOf(shape: TensorShape | undefined): Dims | undefined {
  return shape?.dim?.map(({ size }) => (Number(size) > 0 ? Number(size) : undefined))
}

interface Ending {
  outputName: string | undefined
  constants: Constants
  classes: number | undefined
  path: string
}

/** Without a signature the scores come from the node that no other one reads. */
function activationOf(nodes: GraphNode[], { outputName, constants, classes, path }: Ending): Activation | undefined {
  const read = new Set(nodes.flatMap(({ input = [] }) => input.map(bare)))
  const unread = nodes.findLast(
    ({ name, op }) => !read.has(name) && op !== 'Const' && op !== 'Placeholder' && op !== 'NoOp'
  )
  const node = nodes.find(({ name }) => name === bare(outputName ?? '')) ?? unread
  const end = createEnds(nodes, constants)(node?.name ?? '')
  if (end?.kind === 'sigmoid' && classes !== 1) throw endsInSigmoid(path, 'sigmoid')
  if (end?.kind === 'softmax' && Math.abs(end.mass - 1) > 1e-3)
    throw new ModelError(
      `${path}: its scores are probabilities that add up to ${end.mass}: take their mean before saving the model`
    )
  return end?.kind
}

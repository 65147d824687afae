import { basename, dirname, normalize } from 'node:path'
import {
  TensorProto_DataLocation,
  TensorProto_DataType,
  type NodeProto,
  type TensorProto,
  type ValueInfoProto
} from 'onnx-buf'
import {
  endsInSigmoid,
  readPictureShape,
  type Activation,
  type Dims,
  type Inspected,
  type PlannedFile
} from './inspected.ts'
import type { InspectOptions } from './inspect.ts'
import { ModelError } from '../store/manifest.ts'
import { readOnnxGraph, type OnnxGraph } from './onnx-file.ts'

/**
 * What an ONNX file says: size and layout of its input, classes, and whether it ends in softmax. Throws a ModelError if it is
 * not a classifier of pictures that the engines can run.
 */
export async function inspectOnnx(path: string, _options: InspectOptions): Promise<Inspected> {
  const graph = readOnnxGraph(path)
  const input = dimsOf(pictureInput(graph, path), path, 'input')
  const { layout, size } = readPictureShape(input, path)
  const [output] = graph.outputs
  if (output === undefined) throw new ModelError(`${path}: its graph has no output`)
  const classes = classesOf(graph, dimsOf(output, path, 'output'))
  const activation = activationOf(graph, output.name, path)
  const notes =
    graph.outputs.length > 1
      ? [`the graph has ${graph.outputs.length} outputs; the first, "${output.name}", is taken for the scores`]
      : []
  return {
    artifacts: [
      {
        format: 'onnx',
        path: basename(path),
        layout,
        files: [{ path: basename(path), from: path }, ...externalFiles(graph, path)]
      }
    ],
    facts: {
      size: size && { value: size, from: 'the shape of its input' },
      classes: classes === undefined ? undefined : { value: classes, from: 'the shape of its output' },
      activation: activation && { value: activation, from: 'its last node' }
    },
    notes: [...notes, ...batchNotes(input[0], path)]
  }
}

/** The one input that is not an initializer; before IR version 4 files list those among the inputs. */
function pictureInput({ inputs, initializers }: OnnxGraph, path: string): ValueInfoProto {
  const real = inputs.filter(({ name }) => !initializers.has(name))
  const [input] = real
  if (input === undefined || real.length > 1)
    throw new ModelError(
      `${path}: has ${real.length} inputs (${real.map(({ name }) => name).join(', ')}); a classifier here has one, the picture`
    )
  return input
}

function dimsOf({ name, type }: ValueInfoProto, path: string, what: 'input' | 'output'): Dims {
  const tensor = type?.value.case === 'tensorType' ? type.value.value : undefined
  if (tensor?.elemType !== TensorProto_DataType.FLOAT)
    throw new ModelError(
      `${path}: ${what} "${name}" is ${elementName(tensor?.elemType)}; the engines work with float32: export the model again with float32 ${what}s`
    )
  return (
    tensor.shape?.dim.map(({ value }) =>
      value.case === 'dimValue' && value.value > 0n ? Number(value.value) : undefined
    ) ?? []
  )
}

function elementName(elemType: number | undefined): string {
  return elemType === undefined
    ? 'no tensor'
    : (TensorProto_DataType[elemType]?.toLowerCase() ?? `of the unknown type ${elemType}`)
}

/** A graph that was exported for one batch size runs no other. */
function batchNotes(batch: number | undefined, path: string): string[] {
  if (batch === undefined) return []
  if (batch > 1)
    throw new ModelError(`${path}: it takes exactly ${batch} pictures at a time; export it again with a dynamic batch`)
  return ['it takes one picture at a time: serve it with BATCH_MAX_SIZE=1, or export it again with a dynamic batch']
}

/** From the output's shape, or else from the weights of the last dense layer. */
function classesOf(graph: OnnxGraph, output: Dims): number | undefined {
  const scores = output.slice(1)
  if (scores.length > 0 && scores.every(dim => dim !== undefined))
    return scores.reduce((product, dim) => product * dim, 1)
  const dense = graph.nodes.findLast(({ opType }) => opType === 'Gemm' || opType === 'MatMul')
  const weights = graph.initializers.get(dense?.input[1] ?? '')
  if (dense === undefined || weights?.dims.length !== 2) return undefined
  const transposed = dense.attribute.some(({ name, i }) => name === 'transB' && i === 1n)
  return Number(weights.dims[transposed ? 0 : 1])
}

/** These change where or how scores are stored, not what they are. */
const passOn = new Set([
  'Identity',
  'Reshape',
  'Flatten',
  'Squeeze',
  'Unsqueeze',
  'Cast',
  'Dropout',
  'Transpose',
  'QuantizeLinear',
  'DequantizeLinear'
])
/** These give scores without bounds. The logarithm of a softmax is as good as logits: softmax gives back what it was made from. */
const logits = new Set([
  'Gemm',
  'MatMul',
  'Add',
  'Conv',
  'GlobalAveragePool',
  'ReduceMean',
  'LogSoftmax',
  'QGemm',
  'QLinearMatMul',
  'QLinearAdd',
  'QLinearConv',
  'QLinearGlobalAveragePool',
  'MatMulInteger',
  'Mul',
  'FusedGemm'
])

function activationOf(graph: OnnxGraph, outputName: string, path: string): Activation | undefined {
  const last = lastNode(graph.nodes, outputName)
  if (last === undefined) return undefined
  if (last.opType === 'Sigmoid' || last.opType === 'HardSigmoid') throw endsInSigmoid(path, last.opType)
  if (last.opType === 'Softmax' || last.opType === 'QLinearSoftmax') return 'softmax'
  return logits.has(last.opType) ? 'logits' : undefined
}

/** The node that computes the scores, found from the output backwards. */
function lastNode(nodes: NodeProto[], outputName: string): NodeProto | undefined {
  const makers = new Map(nodes.flatMap(node => node.output.map(name => [name, node] as const)))
  let node = makers.get(outputName)
  while (node !== undefined && passOn.has(node.opType)) node = makers.get(node.input[0] ?? '')
  return node
}

/** Files beside the graph that hold weights too large for it, or kept apart by the exporter. */
function externalFiles({ initializers, nodes }: OnnxGraph, path: string): PlannedFile[] {
  const constants = nodes.flatMap(({ attribute }) => attribute.flatMap(({ t }) => t ?? []))
  const locations = new Set(
    [...initializers.values(), ...constants].filter(isExternal).map(tensor => locationOf(tensor, path))
  )
  return [...locations].map(location => ({ path: location, folder: dirname(path) }))
}

function isExternal({ dataLocation }: TensorProto): boolean {
  return dataLocation === TensorProto_DataLocation.EXTERNAL
}

function locationOf({ name, externalData }: TensorProto, path: string): string {
  const location = externalData.find(({ key }) => key === 'location')?.value
  if (location === undefined)
    throw new ModelError(`${path}: the values of "${name}" lie in another file, but it doesn't say in which`)
  return normalize(location).replaceAll('\\', '/')
}

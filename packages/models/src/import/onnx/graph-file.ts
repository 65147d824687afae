import { fromBinary } from '@bufbuild/protobuf'
import {
  ModelProtoSchema,
  NodeProtoSchema,
  TensorProtoSchema,
  ValueInfoProtoSchema,
  type ModelProto,
  type NodeProto,
  type TensorProto,
  type ValueInfoProto
} from 'onnx-buf'
import { ModelError } from '../../store/error.ts'
import { openSource } from '../source-files.ts'
import { createReader, fields, type Field, type Read } from './protobuf.ts'

/** The graph of an ONNX file without its weights. */
export interface OnnxGraph {
  nodes: NodeProto[]
  inputs: ValueInfoProto[]
  outputs: ValueInfoProto[]
  /** By name; only small ones have values. */
  initializers: Map<string, TensorProto>
  /** All of the file but its graph: versions, producer, metadata. */
  model: ModelProto
  /** The node that makes each tensor, and those that take it. */
  makers: Map<string, NodeProto>
  readers: Map<string, NodeProto[]>
}

/** Field numbers of onnx.proto, which never change. */
export const graphOfModel = 7
const functionsOfModel = 25
export const fieldsOfGraph = { node: 1, initializer: 5, input: 11, output: 12 }
/** The fields of a tensor that hold its values: float, int32, string, int64, raw, double, uint64. */
const valuesOfTensor = new Set([4, 5, 6, 7, 9, 10, 11])
/** Scales, shapes and axes are this small; weights are larger. */
const smallTensorBytes = 4_096
/** The largest networks have 20,000. */
const maxNodes = 500_000

/**
 * Reads the graph of an ONNX file. Weights are skipped over and never read, so the memory needed is that of the graph, not of
 * the file. Throws a ModelError if the file is not an ONNX model, or its nodes form a circle.
 */
export async function readOnnxGraph(path: string): Promise<OnnxGraph> {
  const { file, bytes } = await openSource(path)
  try {
    return readGraph(createReader(file.fd), bytes)
  } catch (error) {
    throw new ModelError(`${path}: not an ONNX model, or damaged: ${(error as Error).message}`)
  } finally {
    await file.close()
  }
}

function readGraph(read: Read, bytes: number): OnnxGraph {
  const top = [...fields(read, 0, bytes)]
  const rest = top.filter(({ number }) => number !== graphOfModel && number !== functionsOfModel)
  const model = fromBinary(ModelProtoSchema, Buffer.concat(rest.map(({ start, end }) => read(start, end))))
  const graph: OnnxGraph = {
    nodes: [],
    inputs: [],
    outputs: [],
    initializers: new Map(),
    model,
    makers: new Map(),
    readers: new Map()
  }
  for (const { content, end } of top.filter(({ number }) => number === graphOfModel))
    for (const field of fields(read, content, end)) readGraphField(graph, field, read)
  if (graph.nodes.length === 0 || graph.inputs.length === 0 || graph.outputs.length === 0)
    throw new Error('it has no graph with nodes, inputs and outputs')
  connect(graph)
  assertAcyclic(graph)
  return graph
}

function connect({ nodes, makers, readers }: OnnxGraph): void {
  for (const node of nodes) {
    for (const name of node.output) if (name !== '') makers.set(name, node)
    for (const name of new Set(node.input)) {
      const list = readers.get(name) ?? []
      readers.set(name, list)
      list.push(node)
    }
  }
}

function readGraphField(graph: OnnxGraph, field: Field, read: Read): void {
  const { node, initializer, input, output } = fieldsOfGraph
  const content = () => read(field.content, field.end)
  if (field.number === node && graph.nodes.push(fromBinary(NodeProtoSchema, content())) > maxNodes)
    throw new Error(`it has more than ${maxNodes} nodes`)
  if (field.number === input) graph.inputs.push(fromBinary(ValueInfoProtoSchema, content()))
  if (field.number === output) graph.outputs.push(fromBinary(ValueInfoProtoSchema, content()))
  if (field.number === initializer) {
    const tensor = readTensorHead(field, read)
    graph.initializers.set(tensor.name, tensor)
  }
}

function readTensorHead(tensor: Field, read: Read): TensorProto {
  if (tensor.end - tensor.content <= smallTensorBytes)
    return fromBinary(TensorProtoSchema, read(tensor.content, tensor.end))
  const kept = [...fields(read, tensor.content, tensor.end)].filter(({ number }) => !valuesOfTensor.has(number))
  return fromBinary(TensorProtoSchema, Buffer.concat(kept.map(({ start, end }) => read(start, end))))
}

/** Whatever follows a graph from node to node ends only if it has no circle; no engine runs one that has. */
function assertAcyclic({ nodes, makers, readers }: OnnxGraph): void {
  const madeOf = (node: NodeProto) => new Set(node.input.filter(name => makers.has(name)))
  const waiting = new Map(nodes.map(node => [node, madeOf(node).size]))
  const ready = nodes.filter(node => waiting.get(node) === 0)
  for (const node of ready) {
    // A name that two nodes claim is the last one's.
    for (const reader of node.output.flatMap(name => (makers.get(name) === node ? (readers.get(name) ?? []) : []))) {
      const left = (waiting.get(reader) ?? 0) - 1
      waiting.set(reader, left)
      if (left === 0) ready.push(reader)
    }
  }
  const stuck = nodes.find(node => (waiting.get(node) ?? 0) > 0)
  if (stuck !== undefined)
    throw new Error(`its nodes form a circle: "${stuck.output[0] ?? stuck.name}" depends on itself`)
}

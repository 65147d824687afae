import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { fromBinary } from '@bufbuild/protobuf'
import {
  NodeProtoSchema,
  StringStringEntryProtoSchema,
  TensorProtoSchema,
  ValueInfoProtoSchema,
  type NodeProto,
  type TensorProto,
  type ValueInfoProto
} from 'onnx-buf'
import { ModelError } from '../store/manifest.ts'

/** The graph of an ONNX file without its weights. */
export interface OnnxGraph {
  nodes: NodeProto[]
  inputs: ValueInfoProto[]
  outputs: ValueInfoProto[]
  /** By name; their values are not there. */
  initializers: Map<string, TensorProto>
}

/** Field numbers of onnx.proto, which never change. */
const graphOfModel = 7
const propertyOfModel = 14
const fieldsOfGraph = { node: 1, initializer: 5, input: 11, output: 12 }
/** The fields of a tensor that hold its values: float, int32, string, int64, raw, double, uint64. */
const valuesOfTensor = new Set([4, 5, 6, 7, 9, 10, 11])

/** A field of a message: where it begins with its tag, where its content does, and where it ends. */
interface Field {
  number: number
  start: number
  content: number
  end: number
}

/**
 * Reads the graph of an ONNX file. Weights are skipped over and never read, so the memory needed is that of the graph, not of
 * the file. Throws a ModelError if the file is not an ONNX model.
 */
export function readOnnxGraph(path: string): OnnxGraph {
  return withFile(path, readGraph)
}

/** An ImageNet model's labels and their ids take 60 kB. */
const maxPropertyBytes = 4_000_000

/** What the exporter wrote into `metadata_props`, by key. Throws a ModelError if the file is not an ONNX model. */
export function readOnnxProperties(path: string): Map<string, string> {
  return withFile(path, readProperties)
}

function withFile<Result>(path: string, use: (file: number) => Result): Result {
  const file = openSync(path, 'r')
  try {
    return use(file)
  } catch (error) {
    throw new ModelError(`${path}: not an ONNX model, or damaged: ${(error as Error).message}`)
  } finally {
    closeSync(file)
  }
}

function readProperties(file: number): Map<string, string> {
  const read = createReader(file)
  const properties = [...fields(read, 0, fstatSync(file).size)].filter(
    ({ number, content, end }) => number === propertyOfModel && end - content <= maxPropertyBytes
  )
  const entries = properties.map(({ content, end }) => fromBinary(StringStringEntryProtoSchema, read(content, end)))
  return new Map(entries.map(({ key, value }) => [key, value]))
}

function readGraph(file: number): OnnxGraph {
  const read = createReader(file)
  const graph: OnnxGraph = { nodes: [], inputs: [], outputs: [], initializers: new Map() }
  for (const model of fields(read, 0, fstatSync(file).size)) {
    if (model.number !== graphOfModel) continue
    for (const field of fields(read, model.content, model.end)) readGraphField(graph, field, read)
  }
  if (graph.nodes.length === 0 || graph.inputs.length === 0 || graph.outputs.length === 0)
    throw new Error('it has no graph with nodes, inputs and outputs')
  return graph
}

function readGraphField(graph: OnnxGraph, field: Field, read: Read): void {
  const { node, initializer, input, output } = fieldsOfGraph
  if (field.number === node) graph.nodes.push(fromBinary(NodeProtoSchema, read(field.content, field.end)))
  if (field.number === input) graph.inputs.push(fromBinary(ValueInfoProtoSchema, read(field.content, field.end)))
  if (field.number === output) graph.outputs.push(fromBinary(ValueInfoProtoSchema, read(field.content, field.end)))
  if (field.number === initializer) {
    const tensor = readTensorHead(field, read)
    graph.initializers.set(tensor.name, tensor)
  }
}

function readTensorHead(tensor: Field, read: Read): TensorProto {
  const kept = [...fields(read, tensor.content, tensor.end)].filter(({ number }) => !valuesOfTensor.has(number))
  return fromBinary(TensorProtoSchema, Buffer.concat(kept.map(({ start, end }) => read(start, end))))
}

/** The fields of the message between two offsets. Their contents are stepped over. */
function* fields(read: Read, from: number, to: number): Generator<Field> {
  let at = from
  while (at < to) {
    const start = at
    const tag = readVarint(read, at, to)
    const [number, wireType] = [Math.floor(tag.value / 8), tag.value % 8]
    const { content, end } = extent(read, { wireType, at: tag.end, to })
    if (number === 0 || end > to) throw new Error(`a field at byte ${start} goes beyond its message`)
    yield { number, start, content, end }
    at = end
  }
}

function extent(
  read: Read,
  { wireType, at, to }: { wireType: number; at: number; to: number }
): { content: number; end: number } {
  switch (wireType) {
    case 0:
      return { content: at, end: readVarint(read, at, to).end }
    case 1:
      return { content: at, end: at + 8 }
    case 5:
      return { content: at, end: at + 4 }
    case 2: {
      const length = readVarint(read, at, to)
      return { content: length.end, end: length.end + length.value }
    }
    default:
      throw new Error(`an unknown kind of field at byte ${at}`)
  }
}

/** Values above 2^53 lose digits; lengths and tags never get there. */
function readVarint(read: Read, at: number, to: number): { value: number; end: number } {
  const bytes = read(at, Math.min(at + 10, to))
  let value = 0
  for (const [index, byte] of bytes.entries()) {
    value += (byte & 0x7f) * 2 ** (7 * index)
    if (byte < 0x80) return { value, end: at + index + 1 }
  }
  throw new Error(`a number at byte ${at} does not end`)
}

/** The bytes between two offsets of a file. */
type Read = (from: number, to: number) => Uint8Array<ArrayBuffer>

const windowBytes = 65_536

/** Reads through a window: a graph is thousands of small fields beside each other. */
function createReader(file: number): Read {
  const window = new Uint8Array(windowBytes)
  let [start, length] = [0, 0]

  return (from, to) => {
    if (to - from > windowBytes) return readFully(file, new Uint8Array(to - from), from)
    if (from < start || to > start + length) {
      start = from
      length = readSync(file, window, 0, windowBytes, from)
    }
    if (to > start + length) throw new Error(`it ends before byte ${to}`)
    return window.slice(from - start, to - start)
  }
}

function readFully(file: number, bytes: Uint8Array<ArrayBuffer>, from: number): Uint8Array<ArrayBuffer> {
  let done = 0
  while (done < bytes.length) {
    const count = readSync(file, bytes, done, bytes.length - done, from + done)
    if (count === 0) throw new Error(`it ends before byte ${from + bytes.length}`)
    done += count
  }
  return bytes
}

import { create, toBinary } from '@bufbuild/protobuf'
import {
  TensorProto_DataType,
  TensorShapeProtoSchema,
  TypeProtoSchema,
  ValueInfoProtoSchema,
  type NodeProto
} from 'onnx-buf'
import { openSource } from '../source-files.ts'
import { fieldsOfGraph, graphOfModel, type OnnxGraph } from './graph-file.ts'
import { createReader, fields, type Read } from './protobuf.ts'

/**
 * The model with `tensor`, of the graph's own, as its only output, and without the nodes that it doesn't need. Everything else
 * stays byte for byte.
 */
export async function withOutput(
  path: string,
  graph: OnnxGraph,
  { tensor, classes }: { tensor: string; classes: number }
): Promise<Uint8Array> {
  const { file, bytes } = await openSource(path)
  try {
    const read = createReader(file.fd)
    const needed = ancestors(graph, tensor)
    const output = toBinary(ValueInfoProtoSchema, scoresOf(tensor, classes))
    const parts = [...fields(read, 0, bytes)].map(({ number, start, content, end }) =>
      number === graphOfModel
        ? delimited(
            graphOfModel,
            Buffer.concat([
              ...kept(read, { from: content, to: end }, { graph, needed }),
              delimited(fieldsOfGraph.output, output)
            ])
          )
        : read(start, end)
    )
    return new Uint8Array(Buffer.concat(parts))
  } finally {
    await file.close()
  }
}

/** The fields of a graph in their order, but for its outputs and the nodes that nobody needs. */
function* kept(
  read: Read,
  { from, to }: { from: number; to: number },
  { graph, needed }: { graph: OnnxGraph; needed: Set<NodeProto> }
): Generator<Uint8Array> {
  let index = 0
  for (const { number, start, end } of fields(read, from, to)) {
    if (number === fieldsOfGraph.output) continue
    const node = number === fieldsOfGraph.node ? graph.nodes[index++] : undefined
    if (node === undefined || needed.has(node)) yield read(start, end)
  }
}

function ancestors({ makers }: OnnxGraph, tensor: string): Set<NodeProto> {
  const found = new Set<NodeProto>()
  const open = [makers.get(tensor)]
  for (const node of open) {
    if (node === undefined || found.has(node)) continue
    found.add(node)
    // What the body of a loop or branch takes from outside is not among its inputs.
    const inner = node.attribute.flatMap(({ g }) => g?.node ?? []).flatMap(({ input }) => input)
    open.push(...[...node.input, ...inner].map(name => makers.get(name)))
  }
  return found
}

function scoresOf(name: string, classes: number) {
  const dim = [
    { value: { case: 'dimParam' as const, value: 'batch' } },
    { value: { case: 'dimValue' as const, value: BigInt(classes) } }
  ]
  const tensor = { elemType: TensorProto_DataType.FLOAT, shape: create(TensorShapeProtoSchema, { dim }) }
  return create(ValueInfoProtoSchema, {
    name,
    type: create(TypeProtoSchema, { value: { case: 'tensorType', value: tensor } })
  })
}

/** A field of bytes: its tag, its length, its content. */
function delimited(number: number, content: Uint8Array): Buffer {
  return Buffer.concat([varint(number * 8 + 2), varint(content.length), content])
}

function varint(value: number): Buffer {
  const bytes = []
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    bytes.push((rest % 128) + (rest >= 128 ? 128 : 0))
    if (rest < 128) return Buffer.from(bytes)
  }
}

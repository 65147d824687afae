import { create, toBinary, type MessageInitShape } from '@bufbuild/protobuf'
import {
  AttributeProto_AttributeType as AttributeType,
  ModelProtoSchema,
  TensorProto_DataType as DataType,
  Version
} from 'onnx-buf'
import {
  type AttributeProtoSchema,
  type NodeProtoSchema,
  type TensorProtoSchema,
  type ValueInfoProtoSchema
} from 'onnx-buf'
import { bytesOf } from './bytes.ts'

type Attribute = Omit<MessageInitShape<typeof AttributeProtoSchema>, 'name' | '$typeName' | '$unknown'>
/** An operation of ONNX; `inputs` and `output` are names of tensors. */
export interface GraphNode {
  op: string
  inputs: readonly string[]
  output: string
  attributes?: Readonly<Record<string, Attribute>>
}
/** A tensor that a graph takes or gives; a name stands for a size that each run decides. */
interface Port {
  name: string
  dims: ReadonlyArray<number | string>
}
export type Graph = ReturnType<typeof createGraph>

/** Operators as they were defined in ONNX 1.12 (July 2022): old enough for any runtime, new enough for every operator used. */
const opset = 17n

/** Gathers a graph's nodes, in order, and its constants. */
export function createGraph() {
  const nodes: Array<MessageInitShape<typeof NodeProtoSchema>> = []
  const constants: Array<MessageInitShape<typeof TensorProtoSchema>> = []

  return {
    node({ op, inputs, output, attributes = {} }: GraphNode): void {
      const attribute = Object.entries(attributes).map(([name, value]) => ({ name, ...value }))
      nodes.push({ name: output, opType: op, input: [...inputs], output: [output], attribute })
    },

    /** Gives `name` back. */
    floats(name: string, dims: readonly number[], data: Float32Array): string {
      constants.push({ name, dims: dims.map(BigInt), dataType: DataType.FLOAT, rawData: bytesOf(data) })
      return name
    },

    integers(name: string, values: readonly number[]): string {
      constants.push({ name, dims: [BigInt(values.length)], dataType: DataType.INT64, int64Data: values.map(BigInt) })
      return name
    },

    encode({ name, input, output }: { name: string; input: Port; output: Port }): Uint8Array {
      return toBinary(
        ModelProtoSchema,
        create(ModelProtoSchema, {
          irVersion: BigInt(Version.IR_VERSION_2021_7_30),
          producerName: 'streamsight',
          opsetImport: [{ domain: '', version: opset }],
          graph: { name, node: nodes, initializer: constants, input: [portOf(input)], output: [portOf(output)] }
        })
      )
    }
  }
}

export function int(value: number): Attribute {
  return { type: AttributeType.INT, i: BigInt(value) }
}

export function float(value: number): Attribute {
  return { type: AttributeType.FLOAT, f: value }
}

export function ints(values: readonly number[]): Attribute {
  return { type: AttributeType.INTS, ints: values.map(BigInt) }
}

function portOf({ name, dims }: Port): MessageInitShape<typeof ValueInfoProtoSchema> {
  const dim = dims.map(size =>
    typeof size === 'number'
      ? { value: { case: 'dimValue' as const, value: BigInt(size) } }
      : { value: { case: 'dimParam' as const, value: size } }
  )
  return { name, type: { value: { case: 'tensorType', value: { elemType: DataType.FLOAT, shape: { dim } } } } }
}

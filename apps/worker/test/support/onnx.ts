import { create, toBinary, type MessageInitShape } from '@bufbuild/protobuf'
import {
  AttributeProto_AttributeType as AttributeType,
  ModelProtoSchema,
  TensorProto_DataType as DataType,
  type AttributeProtoSchema,
  type NodeProtoSchema,
  type TensorProtoSchema,
  type ValueInfoProtoSchema
} from 'onnx-buf'

const elementTypes = {
  float32: DataType.FLOAT,
  float16: DataType.FLOAT16,
  float64: DataType.DOUBLE,
  uint8: DataType.UINT8,
  int8: DataType.INT8,
  int64: DataType.INT64
} as const
export type ElementType = keyof typeof elementTypes

/** A graph's input or output; a dimension that is a string is free. */
export interface Value {
  name: string
  type: ElementType
  dims: Array<number | string>
}

/** Whole numbers are ONNX's ints; a float is written `{ float: 1 }`, a list of texts `{ strings: ['a'] }`. */
export type Attribute = number | number[] | string | { float: number } | { strings: string[] }

/** Writes an ONNX file node by node. `node` and `weight` answer the name under which later nodes find the tensor. */
export function createOnnxGraph() {
  const nodes: Array<MessageInitShape<typeof NodeProtoSchema>> = []
  const weights: Array<MessageInitShape<typeof TensorProtoSchema>> = []

  return {
    node(
      opType: string,
      inputs: string[],
      attributes: Record<string, Attribute> = {},
      output = `${opType}_${nodes.length}`
    ): string {
      nodes.push({
        opType,
        name: output,
        input: inputs,
        output: [output],
        attribute: Object.entries(attributes).map(attributeOf)
      })
      return output
    },

    weight(type: ElementType, dims: number[], values: ArrayBufferView<ArrayBuffer>): string {
      const name = `weight_${weights.length}`
      const rawData = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
      weights.push({ name, dataType: elementTypes[type], dims: dims.map(BigInt), rawData })
      return name
    },

    toBytes({ inputs, outputs }: { inputs: Value[]; outputs: Value[] }): Uint8Array {
      return toBinary(
        ModelProtoSchema,
        create(ModelProtoSchema, {
          irVersion: 8n,
          producerName: 'streamsight-test',
          opsetImport: [{ domain: '', version: 17n }],
          graph: {
            name: 'graph',
            node: nodes,
            initializer: weights,
            input: inputs.map(valueInfo),
            output: outputs.map(valueInfo)
          }
        })
      )
    }
  }
}

function attributeOf([name, value]: [string, Attribute]): MessageInitShape<typeof AttributeProtoSchema> {
  if (typeof value === 'number') return { name, type: AttributeType.INT, i: BigInt(value) }
  if (typeof value === 'string') return { name, type: AttributeType.STRING, s: new TextEncoder().encode(value) }
  if (Array.isArray(value)) return { name, type: AttributeType.INTS, ints: value.map(BigInt) }
  if ('strings' in value)
    return { name, type: AttributeType.STRINGS, strings: value.strings.map(text => new TextEncoder().encode(text)) }
  return { name, type: AttributeType.FLOAT, f: value.float }
}

function valueInfo({ name, type, dims }: Value): MessageInitShape<typeof ValueInfoProtoSchema> {
  const dim = dims.map(size =>
    typeof size === 'string'
      ? { value: { case: 'dimParam' as const, value: size } }
      : { value: { case: 'dimValue' as const, value: BigInt(size) } }
  )
  return { name, type: { value: { case: 'tensorType', value: { elemType: elementTypes[type], shape: { dim } } } } }
}

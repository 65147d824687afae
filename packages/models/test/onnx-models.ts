import { writeFileSync } from 'node:fs'
import { create, toBinary } from '@bufbuild/protobuf'
import {
  AttributeProtoSchema,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  StringStringEntryProtoSchema,
  TensorProtoSchema,
  TensorProto_DataLocation,
  TensorProto_DataType,
  TensorShapeProtoSchema,
  TensorShapeProto_DimensionSchema,
  TypeProtoSchema,
  TypeProto_TensorSchema,
  ValueInfoProtoSchema,
  type ValueInfoProto
} from 'onnx-buf'

/** A dimension: a number, or a name where it is symbolic. */
type Dim = number | string

export interface OnnxParts {
  input?: Dim[]
  output?: Dim[]
  inputType?: TensorProto_DataType
  /** Operators from the pooled features to the scores. */
  ops?: string[]
  /** Where the dense layer's values lie, if not in the file. */
  external?: string
  /** Another input beside the picture. */
  second?: boolean
  /** Lists initializers among the inputs, as files before IR version 4 do. */
  oldStyle?: boolean
  /** What its exporter wrote beside the graph. */
  metadata?: Record<string, string>
}

/** Writes a classifier of 5 classes: mean over the picture, a dense layer, and what follows. */
export function writeOnnxFile(path: string, parts: OnnxParts = {}): void {
  const {
    input = ['batch', 3, 8, 8],
    output = ['batch', 5],
    inputType = TensorProto_DataType.FLOAT,
    ops = ['Gemm', 'Softmax'],
    external,
    second = false,
    oldStyle = false,
    metadata = {}
  } = parts
  const weights = create(TensorProtoSchema, {
    name: 'dense',
    dims: [3n, 5n],
    dataType: TensorProto_DataType.FLOAT,
    ...(external === undefined
      ? { rawData: new Uint8Array(60) }
      : {
          dataLocation: TensorProto_DataLocation.EXTERNAL,
          externalData: [create(StringStringEntryProtoSchema, { key: 'location', value: external })]
        })
  })
  const last = ops.length
  const nodes = ['GlobalAveragePool', 'Flatten', ...ops].map((opType, index) =>
    create(NodeProtoSchema, {
      opType,
      input: [index === 0 ? 'picture' : `t${index}`, ...(opType === 'Gemm' ? ['dense'] : [])],
      output: [index === last + 1 ? 'scores' : `t${index + 1}`],
      attribute: opType === 'Softmax' ? [create(AttributeProtoSchema, { name: 'axis', i: -1n })] : []
    })
  )
  const graph = create(GraphProtoSchema, {
    name: 'test',
    node: nodes,
    initializer: [weights],
    input: [
      value('picture', input, inputType),
      ...(second ? [value('mask', [1], inputType)] : []),
      ...(oldStyle ? [value('dense', [3, 5], inputType)] : [])
    ],
    output: [value('scores', output, TensorProto_DataType.FLOAT)]
  })
  const metadataProps = Object.entries(metadata).map(([key, value]) =>
    create(StringStringEntryProtoSchema, { key, value })
  )
  writeFileSync(path, toBinary(ModelProtoSchema, create(ModelProtoSchema, { irVersion: 8n, graph, metadataProps })))
}

function value(name: string, dims: Dim[], elemType: TensorProto_DataType): ValueInfoProto {
  const dim = dims.map(dim =>
    create(TensorShapeProto_DimensionSchema, {
      value: typeof dim === 'number' ? { case: 'dimValue', value: BigInt(dim) } : { case: 'dimParam', value: dim }
    })
  )
  const shape = create(TensorShapeProtoSchema, { dim })
  return create(ValueInfoProtoSchema, {
    name,
    type: create(TypeProtoSchema, {
      value: { case: 'tensorType', value: create(TypeProto_TensorSchema, { elemType, shape }) }
    })
  })
}

import { TensorProto_DataType as DataType, type NodeProto, type TensorProto } from 'onnx-buf'
import type { OnnxGraph } from './graph-file.ts'

/** These give the values of their first input on. */
const passOn = new Set(['Identity', 'Cast', 'CastLike', 'Reshape', 'Squeeze', 'Unsqueeze', 'Flatten', 'Expand'])

/** The numbers of a small tensor that the file holds; undefined if it is computed, large or of another type. */
export function constantOf({ initializers, makers }: OnnxGraph, name: string): number[] | undefined {
  let current = name
  for (let node = makers.get(current); node !== undefined && passOn.has(node.opType); node = makers.get(current))
    current = node.input[0] ?? ''
  const stored = initializers.get(current)
  if (stored !== undefined) return numbersOf(stored)
  const node = makers.get(current)
  return node?.opType === 'Constant' ? valueOf(node) : undefined
}

function valueOf({ attribute }: NodeProto): number[] | undefined {
  const [value] = attribute
  switch (value?.name) {
    case 'value':
      return value.t && numbersOf(value.t)
    case 'value_float':
      return [value.f]
    case 'value_int':
      return [Number(value.i)]
    case 'value_floats':
      return value.floats
    case 'value_ints':
      return value.ints.map(Number)
    default:
      return undefined
  }
}

function numbersOf({ dataType, rawData, floatData, int32Data, int64Data, doubleData, dims }: TensorProto) {
  const count = dims.reduce((product, dim) => product * Number(dim), 1)
  const numbers =
    rawData.length > 0 ? fromRaw(rawData, dataType) : [...floatData, ...doubleData, ...int64Data.map(Number)]
  if (numbers === undefined) return undefined
  const all = numbers.length > 0 ? numbers : dataType === DataType.FLOAT16 ? int32Data.map(fromHalf) : int32Data
  return all.length === count ? all : undefined
}

const bytesPerNumber: Partial<Record<DataType, number>> = {
  [DataType.FLOAT]: 4,
  [DataType.DOUBLE]: 8,
  [DataType.FLOAT16]: 2,
  [DataType.INT64]: 8,
  [DataType.INT32]: 4
}

function fromRaw(raw: Uint8Array, type: DataType): number[] | undefined {
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength)
  const size = bytesPerNumber[type]
  if (size === undefined || raw.length % size !== 0) return undefined
  return Array.from({ length: raw.length / size }, (_, index) => readNumber(view, index * size, type))
}

function readNumber(view: DataView, at: number, type: DataType): number {
  switch (type) {
    case DataType.FLOAT:
      return view.getFloat32(at, true)
    case DataType.DOUBLE:
      return view.getFloat64(at, true)
    case DataType.INT64:
      return Number(view.getBigInt64(at, true))
    case DataType.FLOAT16:
      return fromHalf(view.getUint16(at, true))
    default:
      return view.getInt32(at, true)
  }
}

/** IEEE 754 half precision; infinities and NaN never stand in a graph's constants that matter here. */
function fromHalf(half: number): number {
  const exponent = (half >> 10) & 0x1f
  const fraction = half & 0x3ff
  const magnitude = exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15)
  return half & 0x8000 ? -magnitude : magnitude
}

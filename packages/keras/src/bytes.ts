import { endianness } from 'node:os'

/** Little-endian, as ONNX and TensorFlow.js keep numbers in files. */
export function bytesOf(data: Float32Array): Uint8Array<ArrayBuffer> {
  const bytes = Buffer.from(new Float32Array(data).buffer)
  return endianness() === 'LE' ? bytes : bytes.swap32()
}

/** A matrix of that many columns, with rows and columns changed over. */
export function transposed(values: Float32Array, columns: number): Float32Array {
  const rows = values.length / columns
  return values.map((_, i) => values[(i % rows) * columns + Math.floor(i / rows)] ?? 0)
}

/** A number of 16 bits: 1 of sign, 5 of exponent, 10 of fraction. */
export function floatOf16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >> 10) & 0x1f
  const fraction = bits & 0x3ff
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : Number.NaN
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

import { endianness } from 'node:os'

/** Little-endian, as ONNX and TensorFlow.js keep numbers in files. */
export function bytesOf(data: Float32Array): Uint8Array<ArrayBuffer> {
  const bytes = Buffer.from(new Float32Array(data).buffer)
  return endianness() === 'LE' ? bytes : bytes.swap32()
}

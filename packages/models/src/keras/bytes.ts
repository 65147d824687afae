const floatBytes = Float32Array.BYTES_PER_ELEMENT

/** Little-endian, as ONNX and TensorFlow.js keep numbers in files. */
export function bytesOf (data: Float32Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(data.length * floatBytes)
  const view = new DataView(bytes.buffer)
  data.forEach((value, i) => view.setFloat32(i * floatBytes, value, true))
  return bytes
}

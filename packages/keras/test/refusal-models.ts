/** Parts of models that are refused: what is wrong lies in a layer of their own. */
import { type H5Tensor } from './files.ts'

export type Json = Record<string, unknown>

export const input: Json = { class_name: 'InputLayer', config: { name: 'image', batch_input_shape: [null, 4, 4, 3] } }
export const flatten: Json = { class_name: 'Flatten', config: { name: 'flatten' } }
export const scores = (units: number, config: Json = {}): Json => ({
  class_name: 'Dense',
  config: { name: 'scores', units, use_bias: false, ...config }
})
export const weights = (units: number): H5Tensor[] => [
  { name: 'scores/kernel:0', shape: [48, units], data: new Float32Array(48 * units) }
]
export const kernel = (shape: number[], name = 'own/kernel:0'): H5Tensor[] => [
  { name, shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)) }
]

export const layer = (className: string, config: Json = {}): Json => ({
  class_name: className,
  config: { name: 'own', ...config }
})
export const sequence = (...layers: Json[]): Json => ({ class_name: 'Sequential', config: { name: 'model', layers } })
export const probe = (className: string, config: Json = {}): Json =>
  sequence(input, layer(className, config), flatten, scores(5))
export const functional = (config: Json): Json => ({ class_name: 'Functional', config: { name: 'model', ...config } })
export const node = (name: string, className: string, inputs: string[]): Json => ({
  name,
  class_name: className,
  config: { name, batch_input_shape: [null, 4, 4, 3] },
  inbound_nodes: inputs.length === 0 ? [] : [inputs.map(from => [from, 0, 0, {}])]
})

export const tensor = (name: string): Json => ({
  class_name: '__keras_tensor__',
  config: { keras_history: [name, 0, 0] }
})

export const conv = { filters: 2, kernel_size: 3, use_bias: false }
export const fits = kernel([3, 3, 3, 2])

import { type Shape } from './network.ts'

/** Elements of `data`, of `shape`, in the order of the axes `axes`: `[1, 0]` turns a matrix. */
export function transpose (data: Float32Array, shape: Shape, axes: readonly number[]): Float32Array {
  const strides = stridesOf(shape)
  const sizes = axes.map(axis => shape[axis] ?? 1)
  const steps = axes.map(axis => strides[axis] ?? 1)
  const result = new Float32Array(data.length)
  const position = sizes.map(() => 0)
  let from = 0

  for (let to = 0; to < result.length; to++) {
    result[to] = data[from] ?? 0
    for (let axis = sizes.length - 1; axis >= 0; axis--) {
      const [size, step, at] = [sizes[axis] ?? 1, steps[axis] ?? 0, position[axis] ?? 0]
      from += step
      position[axis] = at + 1
      if (at + 1 < size) break
      from -= step * size
      position[axis] = 0
    }
  }
  return result
}

function stridesOf (shape: Shape): number[] {
  const strides = shape.map(() => 1)
  for (let axis = shape.length - 2; axis >= 0; axis--) strides[axis] = (strides[axis + 1] ?? 1) * (shape[axis + 1] ?? 1)
  return strides
}

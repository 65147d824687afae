import { KerasError } from '../error.ts'
import { imageShape, windowCount, type Layer, type Pad, type Pair } from '../ir.ts'
import { describeLayer } from '../options.ts'
import { onlyInput, type Build, type Builder } from './builder.ts'

export function pooling2d(reduce: 'max' | 'average'): Builder {
  return build => {
    const { options, layer } = build
    const input = onlyInput(build)
    const [height, width, channels] = imageShape(input)
    options.assertChannelsLast()
    const size = options.pair('pool_size', [2, 2])
    const strides = options.pair('strides', size)
    const padding = options.padding()
    const rows = windowCount({ input: height, kernel: size[0], stride: strides[0], padding })
    const columns = windowCount({ input: width, kernel: size[1], stride: strides[1], padding })
    if (rows < 1 || columns < 1)
      throw new KerasError(`${describeLayer(layer)}: its window is larger than its input of ${height} × ${width}`)
    return build.add({
      operation: { kind: 'pool', reduce, size, strides, padding },
      inputs: [input],
      shape: [rows, columns, channels]
    })
  }
}

export function globalPooling2d(reduce: 'max' | 'average'): Builder {
  return build => {
    const { options } = build
    const input = onlyInput(build)
    const [, , channels] = imageShape(input)
    options.assertChannelsLast()
    const shape = options.flag('keepdims', false) ? [1, 1, channels] : [channels]
    return build.add({ operation: { kind: 'globalPool', reduce }, inputs: [input], shape })
  }
}

export function zeroPadding2d(build: Build): Layer {
  build.options.assertChannelsLast()
  const input = onlyInput(build)
  const [height, width, channels] = imageShape(input)
  const [[top, bottom], [left, right]] = paddingOf(build)
  const operation: Pad = { kind: 'pad', top, bottom, left, right }
  return build.add({ operation, inputs: [input], shape: [height + top + bottom, width + left + right, channels] })
}

/** One number; or one for the rows and one for the columns; or two for each. */
function paddingOf({ options }: Build): [Pair, Pair] {
  const value = options.get('padding') ?? 1
  const sides = Array.isArray(value) && value.length === 2 ? value : [value, value]
  const [rows, columns] = sides.map(side => (Array.isArray(side) ? side : [side, side]))
  const [top, bottom] = rows ?? []
  const [left, right] = columns ?? []
  if (!isPadding(top) || !isPadding(bottom) || !isPadding(left) || !isPadding(right))
    return options.refuse('padding', 'whole numbers from 0 are expected')
  return [
    [top, bottom],
    [left, right]
  ]
}

function isPadding(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

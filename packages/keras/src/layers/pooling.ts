import { KerasError } from '../error.ts'
import { imageShape, windowCount, type Layer, type Pad, type Pair } from '../ir.ts'
import { describeLayer, numbersIn } from '../options.ts'
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

/** `tf.reduce_mean(x, [1, 2])`. */
export function averageOver(build: Build): Layer {
  const { options, layer } = build
  const input = onlyInput(build)
  const [, , channels] = imageShape(input)
  const valueOf = (name: string): unknown => {
    const argument = layer.call?.named[name]
    return (argument !== undefined && 'value' in argument ? argument.value : undefined) ?? options.get(name)
  }
  const second = layer.call?.positional[1]
  const axes = numbersIn(valueOf('axis') ?? (second !== undefined && 'value' in second ? second.value : []))
  const counted = axes.map(axis => (axis < 0 ? axis + 4 : axis)).toSorted()
  if (String(counted) !== '1,2')
    throw new KerasError(`${describeLayer(layer)}: a mean is supported over the image alone, axis [1, 2]`)
  const shape = valueOf('keepdims') === true ? [1, 1, channels] : [channels]
  return build.add({ operation: { kind: 'globalPool', reduce: 'average' }, inputs: [input], shape })
}

export function cropping2d(build: Build): Layer {
  build.options.assertChannelsLast()
  const [[top, bottom], [left, right]] = sidesOf(build, 'cropping', 0)
  return addCrop(build, { top, bottom, left, right })
}

export function centerCrop(build: Build): Layer {
  const { options } = build
  const [height, width] = imageShape(onlyInput(build))
  const rows = height - options.number('height', height)
  const columns = width - options.number('width', width)
  if (rows < 0 || columns < 0) options.refuse('height', `it has to fit into its input of ${height} × ${width}`)
  // Keras leaves the odd pixel below and to the right.
  const [top, left] = [Math.floor(rows / 2), Math.floor(columns / 2)]
  return addCrop(build, { top, bottom: rows - top, left, right: columns - left })
}

type Sides = Record<'top' | 'bottom' | 'left' | 'right', number>

function addCrop(build: Build, { top, bottom, left, right }: Sides): Layer {
  const input = onlyInput(build)
  const [height, width, channels] = imageShape(input)
  const shape = [height - top - bottom, width - left - right, channels]
  if (shape.some(size => size < 1))
    throw new KerasError(`${describeLayer(build.layer)}: crops all of its input of ${height} × ${width}`)
  return top + bottom + left + right === 0
    ? input
    : build.add({ operation: { kind: 'crop', top, left }, inputs: [input], shape })
}

export function zeroPadding2d(build: Build): Layer {
  build.options.assertChannelsLast()
  const input = onlyInput(build)
  const [height, width, channels] = imageShape(input)
  const [[top, bottom], [left, right]] = sidesOf(build, 'padding', 1)
  const operation: Pad = { kind: 'pad', top, bottom, left, right }
  return build.add({ operation, inputs: [input], shape: [height + top + bottom, width + left + right, channels] })
}

/** One number; or one for the rows and one for the columns; or two for each. */
function sidesOf({ options }: Build, field: 'padding' | 'cropping', fallback: number): [Pair, Pair] {
  const value = options.get(field) ?? fallback
  const sides = Array.isArray(value) && value.length === 2 ? value : [value, value]
  const [rows, columns] = sides.map(side => (Array.isArray(side) ? side : [side, side]))
  const [top, bottom] = rows ?? []
  const [left, right] = columns ?? []
  if (!isPadding(top) || !isPadding(bottom) || !isPadding(left) || !isPadding(right))
    return options.refuse(field, 'whole numbers from 0 are expected')
  return [
    [top, bottom],
    [left, right]
  ]
}

function isPadding(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

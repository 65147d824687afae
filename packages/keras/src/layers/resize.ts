import { transposed } from '../bytes.ts'
import { KerasError } from '../error.ts'
import { imageShape, type Layer, type Pair } from '../ir.ts'
import { describeLayer, numbersIn } from '../options.ts'
import { onlyInput, type Build } from './builder.ts'

type Interpolation = 'bilinear' | 'nearest'

/** Keras' Resizing, which stretches unless told otherwise. */
export function resizing(build: Build): Layer {
  const { options } = build
  for (const field of ['crop_to_aspect_ratio', 'pad_to_aspect_ratio', 'antialias'])
    if (options.flag(field, false)) options.refuse(field, 'only false is supported')
  const size: Pair = [options.number('height', 0), options.number('width', 0)]
  return addResize(build, size, options.get('interpolation') ?? 'bilinear')
}

/** `tf.image.resize(x, [height, width])`. */
export function resizeOperator(build: Build): Layer {
  const { layer, options } = build
  const { positional = [], named = {} } = layer.call ?? {}
  const valueOf = (name: string): unknown => {
    const argument = named[name]
    return (argument !== undefined && 'value' in argument ? argument.value : undefined) ?? options.get(name)
  }
  for (const name of ['antialias', 'preserve_aspect_ratio', 'crop_to_aspect_ratio', 'pad_to_aspect_ratio'])
    if (valueOf(name) === true) throw new KerasError(`${describeLayer(layer)}: "${name}" is not supported`)
  const second = positional[1]
  const [height = 0, width = 0] = numbersIn(
    valueOf('size') ?? (second !== undefined && 'value' in second ? second.value : [])
  )
  return addResize(build, [height, width], valueOf('method') ?? valueOf('interpolation') ?? 'bilinear')
}

export function upSampling2d(build: Build): Layer {
  const { options } = build
  options.assertChannelsLast()
  const [height, width] = imageShape(onlyInput(build))
  const [down, across] = options.pair('size', [2, 2])
  return addResize(build, [height * down, width * across], options.get('interpolation') ?? 'nearest')
}

function addResize(build: Build, [newHeight, newWidth]: Pair, interpolation: unknown): Layer {
  const input = onlyInput(build)
  const [height, width, channels] = imageShape(input)
  if (!(newHeight > 0 && newWidth > 0)) throw new KerasError(`${describeLayer(build.layer)}: resizes to nothing`)
  if (interpolation !== 'bilinear' && interpolation !== 'nearest')
    throw new KerasError(
      `${describeLayer(build.layer)}: interpolation ${JSON.stringify(interpolation)}: only bilinear and nearest are supported`
    )
  if (newHeight === height && newWidth === width) return input
  const rows = matrix({ from: height, to: newHeight, interpolation })
  const columns = transposed(matrix({ from: width, to: newWidth, interpolation }), width)
  return build.add({
    operation: { kind: 'resize', rows, columns },
    inputs: [input],
    shape: [newHeight, newWidth, channels]
  })
}

/** [to, from]: how much of each old pixel is in each new one. TensorFlow takes the pixels' centres, without smoothing. */
function matrix({ from, to, interpolation }: { from: number; to: number; interpolation: Interpolation }): Float32Array {
  const shares = new Float32Array(to * from)
  for (let target = 0; target < to; target++) {
    const centre = ((target + 0.5) * from) / to
    const at = interpolation === 'nearest' ? Math.floor(centre) : Math.min(Math.max(centre - 0.5, 0), from - 1)
    const below = Math.min(Math.floor(at), from - 1)
    const above = Math.min(below + 1, from - 1)
    shares[target * from + below] = (shares[target * from + below] ?? 0) + 1 - (at - below)
    shares[target * from + above] = (shares[target * from + above] ?? 0) + (at - below)
  }
  return shares
}

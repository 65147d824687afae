import type { Input } from '@streamsight/models'

/** Pixels as jimp gives them: RGBA, 8 bits a channel, row by row. */
export interface Bitmap { rgba: Uint8Array, width: number, height: number }

/** One axis: of `size` pixels each `shrink` become one, and the middle `wanted` of the middle `fitted` are kept. */
interface Axis { size: number, shrink: number, fitted: number, wanted: number }

/** Source positions, from `first` on, and how much each weighs in one output position; the weights sum to 1. */
interface Taps { first: number, weights: Float64Array }

/** The taps of each of `length` output positions. */
interface Scaling { length: number, taps: (position: number) => Taps }

type Kernel = Input['kernel']

const kernels: Record<Kernel, { radius: number, weight: (x: number) => number }> = {
  nearest: { radius: 0, weight: () => 1 },
  linear: { radius: 1, weight: x => 1 - x },
  cubic: { radius: 2, weight: x => x < 1 ? (1.5 * x - 2.5) * x * x + 1 : ((-0.5 * x + 2.5) * x - 4) * x + 2 },
  lanczos3: { radius: 3, weight: x => x === 0 ? 1 : sinc(x) * sinc(x / 3) }
}

/**
 * The picture at the model's input size, RGB on white: what libvips computes on the fast path, step by step, so that both
 * paths give the same answers. jimp's own resizing averages boxes whatever kernel a model was trained with, which changed
 * the top label of one test photo in four. The bitmap is flattened in place.
 */
export function resample (bitmap: Bitmap, input: Input): Uint8Array {
  flatten(bitmap.rgba)
  const { across, down } = axes(bitmap, input)
  const enlarges = across.shrink < 1 || down.shrink < 1
  const columns = crop(scale(across, input.kernel, enlarges), across)
  const rows = crop(scale(down, input.kernel, enlarges), down)
  return weighColumns(weighRows(bitmap, rows), bitmap.width, columns)
}

function axes ({ width, height }: Bitmap, input: Input): { across: Axis, down: Axis } {
  const fitted = { width: Math.round(input.width / input.cropFraction), height: Math.round(input.height / input.cropFraction) }
  const shrink = { width: width / fitted.width, height: height / fitted.height }
  if (input.fit === 'cover') shrink.width = shrink.height = Math.min(shrink.width, shrink.height)
  return {
    across: { size: width, shrink: shrink.width, fitted: fitted.width, wanted: input.width },
    down: { size: height, shrink: shrink.height, fitted: fitted.height, wanted: input.height }
  }
}

function crop ({ length, taps }: Scaling, { fitted, wanted }: Axis): Taps[] {
  const offset = Math.floor((length - fitted + 1) / 2) + Math.floor((fitted - wanted) / 2)
  return Array.from({ length: wanted }, (_, i) => taps(offset + i))
}

/** libvips enlarges both axes if it enlarges one: the other one too is then interpolated half a pixel off. */
function scale (axis: Axis, kernel: Kernel, enlarges: boolean): Scaling {
  if (axis.shrink < 1) return enlarge(axis, kernel)
  const reduced = reduce(axis, kernel)
  return enlarges ? through(enlarge({ size: reduced.length, shrink: 1 }, kernel), reduced) : reduced
}

/** libvips takes a pixel's edge for its centre here, and the cubic kernel for lanczos3. */
function enlarge ({ size, shrink }: Pick<Axis, 'size' | 'shrink'>, kernel: Kernel): Scaling {
  const kernelOrCubic = kernel === 'lanczos3' ? 'cubic' : kernel
  return { length: Math.round(size / shrink), taps: position => spread({ centre: position * shrink, stretch: 1, size }, kernelOrCubic) }
}

/**
 * All but the last factor of 2 to 4 is done by averaging boxes (by taking the first of each box if the kernel is nearest),
 * the rest by the kernel. What rounding adds or takes in length is shared by both ends.
 */
function reduce ({ size, shrink }: Axis, kernel: Kernel): Scaling {
  const box = Math.max(1, Math.floor(size / Math.round(size / shrink) / 2))
  const boxes = kernel === 'nearest' ? Math.floor(size / box) : size / box
  const stretch = shrink / box
  const length = Math.round(boxes / stretch)
  const start = (boxes - length * stretch) / 2
  const weights = new Float64Array(kernel === 'nearest' ? 1 : box).fill(kernel === 'nearest' ? 1 : 1 / box)
  return through(
    { length, taps: position => spread({ centre: start + (position + 0.5) * stretch, stretch, size: Math.ceil(boxes) }, kernel) },
    { length: Math.ceil(boxes), taps: position => within(size, { first: position * box, weights }) }
  )
}

/** The kernel around `centre`, as wide as `stretch` times its radius. */
function spread ({ centre, stretch, size }: { centre: number, stretch: number, size: number }, kernel: Kernel): Taps {
  const { radius, weight } = kernels[kernel]
  const reach = Math.round(radius * stretch)
  const first = Math.floor(centre) - reach
  const weights = Float64Array.from({ length: 2 * reach + 1 }, (_, i) => {
    const x = Math.abs(first + i + 0.5 - centre) / stretch
    return x < radius || reach === 0 ? weight(x) : 0
  })
  const sum = weights.reduce((a, b) => a + b, 0)
  return within(size, { first, weights: weights.map(value => value / sum) })
}

/** Beyond the ends the outermost position repeats. */
function within (size: number, { first, weights }: Taps): Taps {
  const inside = (position: number) => Math.min(Math.max(position, 0), size - 1)
  const start = inside(first)
  const kept = new Float64Array(inside(first + weights.length - 1) - start + 1)
  weights.forEach((weight, i) => { kept[inside(first + i) - start]! += weight })
  return { first: start, weights: kept }
}

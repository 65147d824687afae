import type { Input } from '@streamsight/models'
import type { ImageFormat } from '@streamsight/images'
import type { Recolour } from './colour.ts'
import { frameOf, type Size } from './frame.ts'
import { isOnSide, turnUpright, type Orientation } from './orientation.ts'

/** RGBA, 8 bits a channel, row by row. */
export interface Bitmap extends Size {
  rgba: Uint8ClampedArray<ArrayBuffer>
}

/** A bitmap as it is stored, and what has to be done for it to look right. */
export interface Picture extends Bitmap {
  orientation?: Orientation
  recolour?: Recolour | undefined
}

/** Source positions, from `first` on, and how much each weighs in one output position; the weights sum to 1. */
interface Taps {
  first: number
  weights: Float64Array
}

/** A pass along one axis: the taps of each of `length` output positions. */
interface Pass {
  length: number
  taps: (position: number) => Taps
  unchanged?: boolean
}

type Kernel = Input['kernel']

const kernels: Record<Kernel, { radius: number; weight: (x: number) => number }> = {
  nearest: { radius: 0, weight: () => 1 },
  linear: { radius: 1, weight: x => 1 - x },
  cubic: { radius: 2, weight: x => (x < 1 ? (1.5 * x - 2.5) * x * x + 1 : ((-0.5 * x + 2.5) * x - 4) * x + 2) },
  lanczos3: { radius: 3, weight: x => (x === 0 ? 1 : sinc(x) * sinc(x / 3)) }
}

/**
 * The picture at the model's input size, RGB on white: what libvips computes on the fast path, pass by pass and with its
 * displacements, so that both paths give the same answers. jimp's own resizing averages boxes whatever kernel a model was
 * trained with, which changed the top label of one test photo in four. The bitmap may be changed in place.
 */
export function resample(
  { orientation = 1, recolour, ...stored }: Picture,
  type: ImageFormat,
  input: Input
): Uint8Array {
  const upright = isOnSide(orientation) ? { width: stored.height, height: stored.width } : stored
  const { scaled, left, top } = frameOf(upright, input)
  const source = turnUpright(type === 'jpeg' ? averageBlocks(stored, blockOf(upright, scaled)) : stored, orientation)
  recolour?.(source.rgba)
  // A JPEG is opaque, and has lost its alpha by now where blocks were averaged.
  if (type !== 'jpeg') flatten(source.rgba)
  const across = passes(source.width, scaled.width, input.kernel)
  const down = passes(source.height, scaled.height, input.kernel)
  const [columns, rows] = [window(left, input.width), window(top, input.height)]

  const boxed = weigh(source, across.boxes, down.boxes)
  if (!across.enlarges && !down.enlarges) return toRgb(weigh(boxed, columns(across.reduce), rows(down.reduce)))
  // libvips enlarges both axes if it enlarges one: the other one too is then interpolated half a pixel off.
  return toRgb(weigh(weigh(boxed, across.reduce, down.reduce), columns(across.enlarge), rows(down.enlarge)))
}

/** libjpeg can average blocks of pixels while it decodes. libvips lets it, but leaves a factor of 2 or more. */
function blockOf(picture: Size, scaled: Size): number {
  const shrink = Math.min(picture.width / scaled.width, picture.height / scaled.height)
  return [8, 4, 2].find(block => shrink >= 2 * block) ?? 1
}

/** What fills no block is dropped. */
function averageBlocks(bitmap: Bitmap, block: number): Bitmap {
  return weigh(
    bitmap,
    average(bitmap.width - (bitmap.width % block), block),
    average(bitmap.height - (bitmap.height % block), block)
  )
}

/**
 * How `size` positions become `scaled` along an axis. Boxes are averaged as long as a factor of 2 to 4 is left to the kernel;
 * for `nearest` the first of each box stands for it, and what fills no box is left out.
 */
function passes(
  size: number,
  scaled: number,
  kernel: Kernel
): { boxes: Pass; reduce: Pass; enlarge: Pass; enlarges: boolean } {
  const shrink = size / scaled
  const box = Math.max(1, Math.floor(shrink / 2))
  const covered = kernel === 'nearest' ? size - (size % box) : size
  return {
    boxes: kernel === 'nearest' ? pick(covered, box) : average(covered, box),
    reduce: shrink < 1 ? pick(size, 1) : reduceBoxes({ covered, box, shrink, scaled, kernel }),
    enlarge: enlarge({ size: shrink < 1 ? size : scaled, scaled, kernel }),
    enlarges: shrink < 1
  }
}

function average(size: number, box: number): Pass {
  const weights = new Float64Array(box).fill(1 / box)
  return {
    length: Math.ceil(size / box),
    taps: position => within(size, { first: position * box, weights }),
    unchanged: box === 1
  }
}

function pick(size: number, box: number): Pass {
  return {
    length: size / box,
    taps: position => ({ first: position * box, weights: Float64Array.of(1) }),
    unchanged: box === 1
  }
}

/** Both ends share what was left out. */
function reduceBoxes({
  covered,
  box,
  shrink,
  scaled,
  kernel
}: {
  covered: number
  box: number
  shrink: number
  scaled: number
  kernel: Kernel
}): Pass {
  const start = (covered - scaled * shrink) / 2
  const boxes = Math.ceil(covered / box)
  return {
    length: scaled,
    taps: position =>
      spread(boxes, kernel, { centre: (start + (position + 0.5) * shrink) / box, stretch: shrink / box })
  }
}

/** libvips takes a pixel's edge for its centre here, and the cubic kernel for lanczos3. */
function enlarge({ size, scaled, kernel }: { size: number; scaled: number; kernel: Kernel }): Pass {
  const smooth = kernel === 'lanczos3' ? 'cubic' : kernel
  return { length: scaled, taps: position => spread(size, smooth, { centre: (position * size) / scaled, stretch: 1 }) }
}

/** Keeps `length` positions from `start` on. */
function window(start: number, length: number): (pass: Pass) => Pass {
  return ({ taps }) => ({ length, taps: position => taps(start + position) })
}

/** The kernel around `centre`; shrinking stretches it over all positions that fall into one. */
function spread(size: number, kernel: Kernel, { centre, stretch }: { centre: number; stretch: number }): Taps {
  const { radius, weight } = kernels[kernel]
  const reach = Math.round(radius * stretch)
  const start = Math.floor(centre) - reach
  const weights = Float64Array.from({ length: 2 * reach + 1 }, (_, i) => {
    const x = Math.abs(start + i + 0.5 - centre) / stretch
    return x < radius || radius === 0 ? weight(x) : 0
  })
  const sum = weights.reduce((a, b) => a + b, 0)
  return within(size, { first: start, weights: weights.map(value => value / sum) })
}

/** Beyond the ends the outermost position repeats. */
function within(size: number, taps: Taps): Taps {
  const inside = (position: number) => Math.min(Math.max(position, 0), size - 1)
  const first = inside(taps.first)
  const weights = new Float64Array(inside(taps.first + taps.weights.length - 1) - first + 1)
  for (const [i, weight] of taps.weights.entries()) {
    const to = inside(taps.first + i) - first
    weights[to] = (weights[to] as number) + weight
  }
  return { first, weights }
}

/** Both passes, rounded to bytes after each as libvips does. Of rows only the columns are computed that the other pass needs. */
function weigh(bitmap: Bitmap, across: Pass, down: Pass): Bitmap {
  if (across.unchanged || down.unchanged)
    return weighColumns(weighRows(bitmap, down, { first: 0, width: bitmap.width }), across, 0)
  const { first } = across.taps(0)
  const last = across.taps(across.length - 1)
  return weighColumns(
    weighRows(bitmap, down, { first, width: last.first + last.weights.length - first }),
    across,
    first
  )
}

function weighRows(
  bitmap: Bitmap,
  { length, taps, unchanged }: Pass,
  { first: left, width }: { first: number; width: number }
): Bitmap {
  if (unchanged) return bitmap
  const rgba = new Uint8ClampedArray(length * width * 4)
  for (let y = 0; y < length; y++) {
    const { first, weights } = taps(y)
    const at = (first * bitmap.width + left) * 4
    for (let x = 0; x < width; x++)
      weighPixel({ from: bitmap.rgba, at: at + x * 4, step: bitmap.width * 4, weights }, rgba, (y * width + x) * 4)
  }
  return { rgba, width, height: length }
}

/** `left` is the position of the bitmap's first column. */
function weighColumns(bitmap: Bitmap, { length, taps, unchanged }: Pass, left: number): Bitmap {
  if (unchanged) return bitmap
  const { width, height } = bitmap
  const rgba = new Uint8ClampedArray(length * height * 4)
  for (let x = 0; x < length; x++) {
    const { first, weights } = taps(x)
    for (let y = 0; y < height; y++)
      weighPixel(
        { from: bitmap.rgba, at: (y * width + first - left) * 4, step: 4, weights },
        rgba,
        (y * length + x) * 4
      )
  }
  return { rgba, width: length, height }
}

interface Source {
  from: Uint8ClampedArray
  at: number
  step: number
  weights: Float64Array
}

function weighPixel({ from, at, step, weights }: Source, to: Uint8ClampedArray, pixel: number): void {
  let red = 0
  let green = 0
  let blue = 0
  for (let i = 0, source = at; i < weights.length; i++, source += step) {
    const weight = weights[i] as number
    red += weight * (from[source] as number)
    green += weight * (from[source + 1] as number)
    blue += weight * (from[source + 2] as number)
  }
  to[pixel] = red
  to[pixel + 1] = green
  to[pixel + 2] = blue
}

function toRgb({ rgba, width, height }: Bitmap): Uint8Array {
  const rgb = new Uint8Array(width * height * 3)
  for (let from = 0, to = 0; to < rgb.length; from += 4, to += 3) {
    rgb[to] = rgba[from] as number
    rgb[to + 1] = rgba[from + 1] as number
    rgb[to + 2] = rgba[from + 2] as number
  }
  return rgb
}

/** Onto white, in place; alpha itself stays as it is. */
function flatten(rgba: Bitmap['rgba']): void {
  for (let pixel = 0; pixel < rgba.length; pixel += 4) {
    const alpha = rgba[pixel + 3] as number
    if (alpha === 255) continue
    for (let at = pixel; at < pixel + 3; at++) rgba[at] = ((rgba[at] as number) * alpha + 255 * (255 - alpha)) / 255
  }
}

function sinc(x: number): number {
  return Math.sin(Math.PI * x) / (Math.PI * x)
}

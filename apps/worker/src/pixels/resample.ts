import type { Size } from '@streamsight/images'
import type { Input } from '@streamsight/models'
import type { Raster } from './decoder.ts'
import type { Frame } from './frame.ts'

/** Source positions, from `first` on, and how much each weighs in one output position; the weights sum to 1. */
interface Taps {
  first: number
  weights: number[]
}

type Kernel = Exclude<Input['kernel'], 'nearest'>

/** PIL's (src/libImaging/Resample.c): triangle, Catmull-Rom's cubic, and the windowed sine. */
const kernels: Record<Kernel, { radius: number; weight: (x: number) => number }> = {
  linear: { radius: 1, weight: x => Math.max(0, 1 - x) },
  cubic: {
    radius: 2,
    weight: x => (x < 1 ? (1.5 * x - 2.5) * x * x + 1 : x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0)
  },
  lanczos3: { radius: 3, weight: x => (x === 0 ? 1 : x < 3 ? sinc(x) * sinc(x / 3) : 0) }
}

/** Rows and columns of a picture. */
export interface Region extends Size {
  left: number
  top: number
}

/** The part of a picture of size `from` that the window of its frame is computed from. */
export function sourceOf(from: Size, frame: Frame, input: Input): Region {
  const { across, down } = axesOf(from, frame, input)
  const [columns, rows] = [spanOf(across, input.kernel), spanOf(down, input.kernel)]
  return { left: columns.first, top: rows.first, width: columns.count, height: rows.count }
}

/** Of a picture of size `from`, the part that `sourceOf` says. */
export interface Part {
  picture: Raster
  from: Size
}

/**
 * The window of a picture enlarged to `frame.scaled`, as PIL computes it: rows first, then columns, rounded to bytes after each.
 * Only small pictures are enlarged, so this costs about a millisecond.
 */
export function enlarge({ picture, from }: Part, frame: Frame, input: Input): Uint8Array {
  const { width, height } = input
  const axes = axesOf(from, frame, input)
  const [across, down] = [tapsOf(axes.across, input.kernel as Kernel), tapsOf(axes.down, input.kernel as Kernel)]
  const { left, top } = sourceOf(from, frame, input)
  const rowStep = picture.width * 3
  const narrow = new Uint8ClampedArray(width * picture.height * 3)
  for (let y = 0, to = 0; y < picture.height; y++)
    for (const { first, weights } of across)
      for (let channel = 0; channel < 3; channel++)
        narrow[to++] = weigh(picture.data, { at: y * rowStep + (first - left) * 3 + channel, step: 3, weights })
  const rgb = new Uint8ClampedArray(width * height * 3)
  for (let y = 0, to = 0; y < height; y++) {
    const { first, weights } = down[y] as Taps
    for (let x = 0; x < width * 3; x++)
      rgb[to++] = weigh(narrow, { at: (first - top) * width * 3 + x, step: width * 3, weights })
  }
  return new Uint8Array(rgb.buffer)
}

/** The window of a picture at `frame.scaled`, each pixel the one in whose middle it lies, as PIL computes it. */
export function pickNearest({ picture, from }: Part, frame: Frame, input: Input): Uint8Array {
  const { across, down } = axesOf(from, frame, input)
  const { left, top } = sourceOf(from, frame, input)
  const columns = nearest(across)
  const rgb = new Uint8Array(input.width * input.height * 3)
  let to = 0
  for (const y of nearest(down)) {
    for (const x of columns) {
      const at = ((y - top) * picture.width + (x - left)) * 3
      rgb[to++] = picture.data[at] as number
      rgb[to++] = picture.data[at + 1] as number
      rgb[to++] = picture.data[at + 2] as number
    }
  }
  return rgb
}

function axesOf(from: Size, { scaled, left, top }: Frame, { width, height }: Input): { across: Axis; down: Axis } {
  return {
    across: { from: from.width, to: scaled.width, start: left, count: width },
    down: { from: from.height, to: scaled.height, start: top, count: height }
  }
}

/** The first position of an axis that counts, and how many from there on. */
function spanOf(axis: Axis, kernel: Input['kernel']): { first: number; count: number } {
  const taps = kernel === 'nearest' ? nearest(axis).map(first => ({ first, end: first + 1 })) : reaches(axis, kernel)
  const first = Math.min(...taps.map(({ first }) => first))
  return { first, count: Math.max(...taps.map(({ end }) => end)) - first }
}

function reaches(axis: Axis, kernel: Kernel): Array<{ first: number; end: number }> {
  return tapsOf(axis, kernel).map(({ first, weights }) => ({ first, end: first + weights.length }))
}

/** `count` positions from `start` on of an axis that is scaled from one length to another. */
interface Axis {
  from: number
  to: number
  start: number
  count: number
}

/** Added up as PIL does it: where a middle falls between two pixels, rounding decides. */
function nearest({ from, to, start, count }: Axis): number[] {
  const positions: number[] = []
  for (let i = 0, at = (0.5 * from) / to; i < start + count; i++, at += from / to)
    if (i >= start) positions.push(Math.min(from - 1, Math.floor(at)))
  return positions
}

/** The kernel around each position's centre; shrinking stretches it over all positions that fall into one. */
function tapsOf({ from, to, start, count }: Axis, kernel: Kernel): Taps[] {
  const { radius, weight } = kernels[kernel]
  const scale = from / to
  const stretch = Math.max(1, scale)
  return Array.from({ length: count }, (_, i) => {
    const centre = (start + i + 0.5) * scale
    const first = Math.max(0, Math.trunc(centre - radius * stretch + 0.5))
    const end = Math.min(from, Math.trunc(centre + radius * stretch + 0.5))
    const weights = Array.from({ length: end - first }, (_, tap) =>
      weight(Math.abs(first + tap - centre + 0.5) / stretch)
    )
    const sum = weights.reduce((a, b) => a + b, 0)
    return { first, weights: weights.map(value => value / sum) }
  })
}

function weigh(
  values: Uint8Array | Uint8ClampedArray,
  { at, step, weights }: { at: number; step: number; weights: number[] }
): number {
  let sum = 0
  for (let i = 0, from = at; i < weights.length; i++, from += step)
    sum += (weights[i] as number) * (values[from] as number)
  return sum
}

function sinc(x: number): number {
  return Math.sin(Math.PI * x) / (Math.PI * x)
}

import type { Artifact, Input } from '@streamsight/models'

/** Writes one image, `width · height · 3` bytes RGB, into `batch` as its `index`-th, normalized and in the model's layout. */
export type WriteImage = (rgb: Uint8Array, batch: Float32Array, index: number) => void

/** A loop of its own for each layout, all channels of a pixel at once: a pass for each channel takes three times as long. */
export function createImageWriter(
  { width, height, channels, scale, mean, std }: Input,
  layout: Artifact['layout']
): WriteImage {
  const pixels = width * height
  const [first, second, third] = [0, 1, 2].map(valuesOf) as [Float32Array, Float32Array, Float32Array]
  // Plane 0 of a BGR model is blue, the third byte of a pixel.
  const [source, last] = channels === 'RGB' ? [0, 2] : [2, 0]
  return layout === 'NHWC' ? writePixels : writePlanes

  function writePixels(rgb: Uint8Array, batch: Float32Array, index: number): void {
    for (let from = 0, to = index * pixels * 3; from < pixels * 3; from += 3, to += 3) {
      batch[to] = first[rgb[from + source] as number] as number
      batch[to + 1] = second[rgb[from + 1] as number] as number
      batch[to + 2] = third[rgb[from + last] as number] as number
    }
  }

  function writePlanes(rgb: Uint8Array, batch: Float32Array, index: number): void {
    for (let from = 0, to = index * pixels * 3; from < pixels * 3; from += 3, to++) {
      batch[to] = first[rgb[from + source] as number] as number
      batch[to + pixels] = second[rgb[from + 1] as number] as number
      batch[to + 2 * pixels] = third[rgb[from + last] as number] as number
    }
  }

  /** All 256 values of a plane at once: a look-up is faster than the arithmetic. */
  function valuesOf(plane: number): Float32Array {
    return Float32Array.from({ length: 256 }, (_, value) => (value * scale - (mean[plane] ?? 0)) / (std[plane] ?? 1))
  }
}

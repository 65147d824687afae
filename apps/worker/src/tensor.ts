import type { Artifact, Input } from '@streamsight/models'

/** Writes one image, `width · height · 3` bytes RGB, into `batch` as its `index`-th, normalized and in the model's layout. */
export type WriteImage = (rgb: Uint8Array, batch: Float32Array, index: number) => void

export function createImageWriter ({ width, height, channels, scale, mean, std }: Input, layout: Artifact['layout']): WriteImage {
  const pixels = width * height
  const step = layout === 'NHWC' ? 3 : 1
  const planes = [0, 1, 2].map(plane => ({
    // Plane 0 of a BGR model is blue, the third byte of a pixel.
    source: channels === 'RGB' ? plane : 2 - plane,
    start: layout === 'NHWC' ? plane : plane * pixels,
    // All 256 values at once: a look-up is several times faster than the arithmetic.
    values: Float32Array.from({ length: 256 }, (_, value) => (value * scale - (mean[plane] ?? 0)) / (std[plane] ?? 1))
  }))

  return (rgb, batch, index) => {
    const offset = index * pixels * 3
    for (const { source, start, values } of planes) {
      for (let pixel = 0, to = offset + start; pixel < pixels; pixel++, to += step) {
        batch[to] = values[rgb[pixel * 3 + source] as number] as number
      }
    }
  }
}

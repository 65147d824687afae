import type { Input } from '@streamsight/models'
import type { Raster } from './decoder.ts'
import { frameOf } from './frame.ts'

/** What a picture is to become, as far as it says how small. */
export type Target = Pick<Input, 'width' | 'height' | 'fit' | 'cropFraction' | 'kernel'>

/** Pixels whose rows may be further apart than they are wide. */
export interface Rows extends Raster {
  /** Bytes from row to row. */
  stride?: number
}

/**
 * Averages boxes of pixels, opaque on white, until the picture is still at least twice as large as it is to be; libvips begins in the
 * same way. A decoder in a thread of its own then hands over a hundredth of its pixels. Others come as they are, in memory of
 * their own.
 */
export function shrink(picture: Rows, target: Target): Raster {
  const { width, height, channels } = picture
  const { scaled } = frameOf(picture, target)
  const [across, down] = [boxOf(width, scaled.width), boxOf(height, scaled.height)]
  if (target.kernel === 'nearest' || across * down === 1) return { ...picture, data: packed(picture) }
  const shrunk = { width: Math.ceil(width / across), height: Math.ceil(height / down) }
  const data = new Uint8Array(shrunk.width * shrunk.height * 3)
  const sums = new Uint32Array(shrunk.width * 3)
  for (let row = 0; row < shrunk.height; row++) {
    const end = Math.min((row + 1) * down, height)
    sums.fill(0)
    for (let y = row * down; y < end; y++) addRow(rowOf(picture, y), { channels, across, sums })
    const rows = end - row * down
    for (let x = 0, to = row * sums.length; x < shrunk.width; x++) {
      const count = rows * (Math.min((x + 1) * across, width) - x * across)
      for (let channel = 0; channel < 3; channel++) data[to++] = Math.round((sums[3 * x + channel] as number) / count)
    }
  }
  return { data, ...shrunk, channels: 3 }
}

/**
 * Side of the boxes that leave twice the size; libvips' kernels take the rest. A smaller one where it fits the picture evenly, or
 * the last box would be stretched.
 */
function boxOf(from: number, to: number): number {
  const most = Math.max(1, Math.floor(from / to / 2))
  for (let box = most; 2 * box > most; box--) if (from % box === 0) return box
  return most
}

function rowOf({ data, width, channels, stride = width * channels }: Rows, y: number): Uint8Array {
  return data.subarray(y * stride, y * stride + width * channels)
}

/** Adds each pixel to the box that it lies in. */
function addRow(
  row: Uint8Array,
  { channels, across, sums }: { channels: number; across: number; sums: Uint32Array }
): void {
  for (let from = 0, to = 0, left = across; from < row.length; from += channels) {
    const alpha = channels === 4 ? (row[from + 3] as number) : 255
    for (let channel = 0; channel < 3; channel++) {
      const value = row[from + channel] as number
      sums[to + channel] =
        (sums[to + channel] as number) + (alpha === 255 ? value : 255 + ((value - 255) * alpha) / 255)
    }
    if (--left === 0) {
      left = across
      to += 3
    }
  }
}

function packed(picture: Rows): Uint8Array {
  const { data, width, height, channels, stride = width * channels } = picture
  if (stride === width * channels) return data.slice(0, stride * height)
  const rows = new Uint8Array(width * height * channels)
  for (let y = 0; y < height; y++) rows.set(rowOf(picture, y), y * width * channels)
  return rows
}

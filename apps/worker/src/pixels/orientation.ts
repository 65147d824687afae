import { readDirectory, tags, valueOf } from './tiff.ts'

/**
 * How a camera was held, as EXIF numbers it: 1 upright, 3 upside down, 6 and 8 on a side, the others those mirrored. From 5 on
 * width and height change places.
 */
export type Orientation = number

/** What an EXIF block, or a TIFF, says; upright if it can't be read or says what EXIF doesn't know. */
export function orientationOf(exif: Buffer | undefined): Orientation {
  try {
    const orientation = exif === undefined ? 1 : valueOf(readDirectory(exif), tags.orientation, 1)
    return orientation >= 1 && orientation <= 8 ? orientation : 1
  } catch {
    return 1
  }
}

/** Whether the picture lies on a side. */
export function isOnSide(orientation: Orientation): boolean {
  return orientation >= 5
}

interface Pixels {
  width: number
  height: number
  rgba: Uint8ClampedArray<ArrayBuffer>
}

/** The stored picture as it was seen: a copy, or itself where it stands upright already. */
export function turnUpright(stored: Pixels, orientation: Orientation): Pixels {
  if (orientation === 1) return stored
  const [width, height] = isOnSide(orientation) ? [stored.height, stored.width] : [stored.width, stored.height]
  const from = new Uint32Array(stored.rgba.buffer, stored.rgba.byteOffset, stored.width * stored.height)
  const to = new Uint32Array(width * height)
  const { start, across, down } = walk(stored, orientation)
  for (let y = 0, pixel = 0; y < height; y++) {
    for (let x = 0, at = start + y * down; x < width; x++, at += across) to[pixel++] = from[at] as number
  }
  return { width, height, rgba: new Uint8ClampedArray(to.buffer) }
}

/** Where the upright picture's first pixel is stored, and how far apart its neighbours to the right and below are, in pixels. */
function walk({ width, height }: Pixels, orientation: Orientation): { start: number; across: number; down: number } {
  const [right, bottom] = [width - 1, (height - 1) * width]
  switch (orientation) {
    case 2:
      return { start: right, across: -1, down: width }
    case 3:
      return { start: bottom + right, across: -1, down: -width }
    case 4:
      return { start: bottom, across: 1, down: -width }
    case 5:
      return { start: 0, across: width, down: 1 }
    case 6:
      return { start: bottom, across: -width, down: 1 }
    case 7:
      return { start: bottom + right, across: -width, down: -1 }
    case 8:
      return { start: right, across: width, down: -1 }
    default:
      return { start: 0, across: 1, down: width }
  }
}

/**
 * ITU-R BT.601 with full range, as TIFF and JPEG have it, in place: RGB from Y, Cb and Cr, 8 bits a channel. A matrix commutes with
 * resizing, so this may be done on the few pixels that are left.
 */
export function toRgb(pixels: Uint8Array): Uint8Array {
  const clamp = (value: number) => Math.min(255, Math.max(0, Math.round(value)))
  for (let at = 0; at < pixels.length; at += 3) {
    const [y, cb, cr] = [pixels[at] as number, (pixels[at + 1] as number) - 128, (pixels[at + 2] as number) - 128]
    pixels[at] = clamp(y + 1.402 * cr)
    pixels[at + 1] = clamp(y - 0.344136 * cb - 0.714136 * cr)
    pixels[at + 2] = clamp(y + 1.772 * cb)
  }
  return pixels
}

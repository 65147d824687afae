import libheif from 'libheif-js/wasm-bundle.js'
import { handOver, type Answer } from './decoder-thread.ts'

/** The primary picture of a HEIC, upright. Returns what is wrong with an image instead of throwing. */
export default async function decode(bytes: Uint8Array): Promise<Answer> {
  const images = new libheif.HeifDecoder().decode(bytes)
  const image = images.find(image => image.is_primary()) ?? images[0]
  try {
    if (image === undefined) return { message: 'The HEIC image is truncated or corrupt' }
    const [width, height] = [image.get_width(), image.get_height()]
    const display = { data: new Uint8ClampedArray(width * height * 4), width, height }
    const shown = await new Promise<typeof display | null>(resolve => image.display(display, resolve))
    if (shown === null) return { message: 'The HEIC image is truncated or corrupt' }
    return handOver({ data: new Uint8Array(shown.data.buffer), width, height, channels: 4 })
  } finally {
    for (const image of images) image.free()
  }
}

import libheif from 'libheif-js/wasm-bundle.js'
import { handOver, type Answer, type Task } from './decoder-thread.ts'
import { shrink } from './shrink.ts'

/** The primary picture of a HEIC, upright. Returns what is wrong with an image instead of throwing. */
export default async function decode({ bytes, target }: Task): Promise<Answer> {
  const images = new libheif.HeifDecoder().decode(bytes)
  const image = images.find(image => image.is_primary()) ?? images[0]
  try {
    const { heif_colorspace_RGB, heif_chroma_interleaved_RGB, heif_chroma_interleaved_RGBA } = libheif
    const hasAlpha = image?.has_alpha_channel() ?? false
    const chroma = hasAlpha ? heif_chroma_interleaved_RGBA : heif_chroma_interleaved_RGB
    // libheif-js' own `display` would copy all pixels out of WebAssembly's memory, with an alpha that photos don't have.
    const decoded = image && (await libheif.heif_js_decode_image2(image.handle, heif_colorspace_RGB, chroma))
    const pixels = decoded?.channels?.[0]
    if (pixels === undefined) return { message: 'The HEIC image is truncated or corrupt' }
    const raster = shrink({ ...pixels, channels: hasAlpha ? 4 : 3 }, target)
    libheif.heif_image_release(decoded?.image)
    return handOver(raster)
  } finally {
    for (const image of images) image.free()
  }
}

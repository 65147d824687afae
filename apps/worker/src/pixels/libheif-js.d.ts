/** The part of libheif-js that is used here; the package declares only the functions behind it. */
declare module 'libheif-js/wasm-bundle.js' {
  interface HeifImage {
    handle: unknown
    is_primary: () => boolean
    has_alpha_channel: () => boolean
    free: () => void
  }
  interface Decoded {
    image?: unknown
    /** Missing where decoding failed. The data are a view of WebAssembly's memory. */
    channels?: Array<{ data: Uint8Array; width: number; height: number; stride: number }>
  }
  const libheif: {
    HeifDecoder: new () => { decode: (bytes: Uint8Array) => HeifImage[] }
    heif_colorspace_RGB: unknown
    heif_chroma_interleaved_RGB: unknown
    heif_chroma_interleaved_RGBA: unknown
    heif_js_decode_image2: (handle: unknown, colorspace: unknown, chroma: unknown) => Promise<Decoded>
    heif_image_release: (image: unknown) => void
  }
  export default libheif
}

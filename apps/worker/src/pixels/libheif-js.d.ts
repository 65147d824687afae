/** The part of libheif-js that is used here; the package declares only the functions behind it. */
declare module 'libheif-js/wasm-bundle.js' {
  interface HeifImage {
    get_width: () => number
    get_height: () => number
    is_primary: () => boolean
    /** Fills `image.data` with RGBA; calls back with null where decoding fails. */
    display: <Image extends { data: Uint8ClampedArray; width: number; height: number }>(
      image: Image,
      done: (shown: Image | null) => void
    ) => void
    free: () => void
  }
  const libheif: { HeifDecoder: new () => { decode: (bytes: Uint8Array) => HeifImage[] } }
  export default libheif
}

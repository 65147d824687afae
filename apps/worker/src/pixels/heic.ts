import { createThreadedDecoder } from './decoder-thread.ts'

/** HEIC, the format of iPhones, whose coder is patented and left out of libvips' builds. Undefined where libheif-js is not installed. */
export async function createHeicDecoder() {
  return isInstalled() ? createThreadedDecoder('libheif', './heic-thread.js') : undefined
}

function isInstalled(): boolean {
  try {
    import.meta.resolve('libheif-js/wasm-bundle.js')
    return true
  } catch {
    return false
  }
}

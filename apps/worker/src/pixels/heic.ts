import { createThreadedDecoder } from './decoder-thread.ts'
import type { Target } from './shrink.ts'

/** HEIC, the format of iPhones, whose coder is patented and left out of libvips' builds. Undefined where libheif-js is not installed. */
export function createHeicDecoder(target: Target) {
  return isInstalled() ? createThreadedDecoder({ name: 'libheif', filename: './heic-thread.js', target }) : undefined
}

function isInstalled(): boolean {
  try {
    import.meta.resolve('libheif-js/wasm-bundle.js')
    return true
  } catch {
    return false
  }
}

import { createThreadedDecoder } from './decoder-thread.ts'

/** BMP, which libvips' builds leave out. */
export function createBmpDecoder() {
  return createThreadedDecoder('jimp', './jimp-thread.js')
}

import { createThreadedDecoder } from './decoder-thread.ts'
import type { Target } from './shrink.ts'

/** BMP, which libvips' builds leave out. */
export function createBmpDecoder(target: Target) {
  return createThreadedDecoder({ name: 'jimp', filename: './jimp-thread.js', target })
}

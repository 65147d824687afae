import { type Format } from './format.ts'

/** Bytes of OS/2's first header, which is told by its length from all later ones. */
const os2HeaderBytes = 12

export const bmp: Format = {
  mediaType: 'image/bmp',
  matches: bytes => bytes.toString('latin1', 0, 2) === 'BM',

  /** Rows may be stored from top to bottom, which a negative height says. */
  measure(bytes) {
    const isOs2 = bytes.readUInt32LE(14) === os2HeaderBytes
    const width = isOs2 ? bytes.readUInt16LE(18) : Math.abs(bytes.readInt32LE(18))
    const height = isOs2 ? bytes.readUInt16LE(20) : Math.abs(bytes.readInt32LE(22))
    return { width, height, decodedPixels: width * height, isBuffered: true }
  },

  firstFrame: bytes => ({ bytes })
}

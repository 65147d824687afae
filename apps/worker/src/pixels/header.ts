import type { ImageType } from '@streamsight/protocol'

/**
 * Width × height as the image's header says, for the formats whose jimp decoder allocates whatever it is told to; 0 for the
 * others (jpeg-js has a limit of its own). Throws a RangeError if the header is cut short.
 */
export function pixelsInHeader (bytes: Buffer, type: ImageType): number {
  switch (type) {
    case 'png': return bytes.readUInt32BE(16) * bytes.readUInt32BE(20)
    case 'gif': return bytes.readUInt16LE(6) * bytes.readUInt16LE(8)
    // Rows may be stored from top to bottom, which a negative height says.
    case 'bmp': return Math.abs(bytes.readInt32LE(18) * bytes.readInt32LE(22))
    case 'tiff': return pixelsInTiff(bytes)
    default: return 0
  }
}

function pixelsInTiff (bytes: Buffer): number {
  const little = bytes.toString('latin1', 0, 2) === 'II'
  const short = (at: number) => little ? bytes.readUInt16LE(at) : bytes.readUInt16BE(at)
  const long = (at: number) => little ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at)
  const directory = long(4)
  const entries = Array.from({ length: short(directory) }, (_, i) => directory + 2 + 12 * i)
  const [width = 0, height = 0] = [256, 257].map(tag => {
    const entry = entries.find(at => short(at) === tag)
    if (entry === undefined) return 0
    return short(entry + 2) === 3 ? short(entry + 8) : long(entry + 8)
  })
  return width * height
}

import { createJimp } from '@jimp/core'
import { JimpMime } from 'jimp'
import { decodeBmp } from './bmp.ts'
import { DecodeError } from './decoder.ts'
import { handOver, type Answer } from './decoder-thread.ts'

/** jimp with a BMP of ours: its own misplaces runs and pixels narrower than a byte. */
const Jimp = createJimp({
  formats: [() => ({ mime: JimpMime.bmp, decode: decodeBmp, encode: neverEncode })],
  plugins: []
})

/** Returns what is wrong with an image instead of throwing. */
export default async function decode(bytes: Uint8Array): Promise<Answer> {
  try {
    const { bitmap } = await Jimp.fromBuffer(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length))
    return handOver({ data: bitmap.data, width: bitmap.width, height: bitmap.height, channels: 4 })
  } catch (error) {
    return { message: error instanceof DecodeError ? error.message : 'The BMP image is truncated or corrupt' }
  }
}

function neverEncode(): never {
  throw new Error('BMP is read here and never written')
}

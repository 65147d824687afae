import { createJimp } from '@jimp/core'
import { JimpMime } from 'jimp'
import { decodeBmp } from './bmp.ts'
import { DecodeError } from './decoder.ts'
import { handOver, type Answer, type Task } from './decoder-thread.ts'
import { shrink } from './shrink.ts'

/** jimp with a BMP of ours: its own misplaces runs and pixels narrower than a byte. */
const Jimp = createJimp({
  formats: [() => ({ mime: JimpMime.bmp, decode: decodeBmp, encode: neverEncode })],
  plugins: []
})

/** Returns what is wrong with an image instead of throwing. */
export default async function decode({ bytes, target }: Task): Promise<Answer> {
  try {
    const { bitmap } = await Jimp.fromBuffer(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length))
    const { data, width, height } = bitmap
    return handOver(shrink({ data, width, height, channels: 4 }, target))
  } catch (error) {
    return { message: error instanceof DecodeError ? error.message : 'The BMP image is truncated or corrupt' }
  }
}

function neverEncode(): never {
  throw new Error('BMP is read here and never written')
}

import { inflateSync } from 'node:zlib'
import { unpackLzw } from './lzw.ts'

/** The bytes of one piece, at most `size` of them. Throws an Error if they are broken. */
export function unpack(packed: Buffer, compression: number, size: number): Uint8Array {
  switch (compression) {
    case 5:
      return unpackLzw(packed, size)
    case 32_773:
      return unpackBits(packed, size)
    case 8:
    case 32_946:
      return inflateSync(packed, { maxOutputLength: size + slackBytes })
    default:
      return packed
  }
}

/** Some writers compress a little more than a piece has. */
const slackBytes = 65_536

/** Runs of a byte, and bytes as they are; -128 is nothing. */
function unpackBits(packed: Buffer, size: number): Uint8Array {
  const bytes = new Uint8Array(size)
  for (let from = 0, to = 0; to < size;) {
    const count = packed.readInt8(from++)
    if (count >= 0) {
      bytes.set(packed.subarray(from, from + Math.min(count + 1, size - to)), to)
      from += count + 1
      to += count + 1
    } else if (count > -128) {
      bytes.fill(packed.readUInt8(from++), to, to + 1 - count)
      to += 1 - count
    }
  }
  return bytes
}

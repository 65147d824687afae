import { createSteps, FormatError, type Format, type Size } from './format.ts'

const headerBytes = 13
const descriptorBytes = 10
const extension = 0x21
const descriptor = 0x2c
const trailer = 0x3b

/** Encoders fill blocks to 255 bytes: ten megabytes are forty thousand. */
const mostBlocks = 200_000

export const gif: Format = {
  mediaType: 'image/gif',
  matches: bytes => /^GIF8[79]a/.test(bytes.toString('latin1', 0, 6)),

  measure(bytes) {
    const { width, height } = coveredCanvas(bytes, findFrame(bytes))
    return { width, height, decodedPixels: width * height, isBuffered: true }
  },

  /** The first frame as a GIF of its own, of the frame's size: what a decoder makes of the rest of the canvas differs. */
  firstFrame(bytes) {
    const { control, from, dataAt, ...frame } = findFrame(bytes)
    const canvas = coveredCanvas(bytes, frame)
    const header = Buffer.from(bytes.subarray(0, headerBytes))
    header.writeUInt16LE(frame.width, 6)
    header.writeUInt16LE(frame.height, 8)
    const picture = Buffer.from(bytes.subarray(from, afterBlocks(bytes, dataAt, createSteps('GIF', mostBlocks))))
    picture.writeUInt32LE(0, 1)
    const alone = Buffer.concat([header, colours(bytes), control, picture, Buffer.of(trailer)])
    if (frame.width === canvas.width && frame.height === canvas.height) return { bytes: alone }
    return { bytes: alone, placement: { canvas, left: frame.left, top: frame.top } }
  }
}

/** A frame that sticks out of the canvas makes it larger, as in browsers. */
function coveredCanvas(bytes: Buffer, { left, top, width, height }: Frame): Size {
  return {
    width: Math.max(bytes.readUInt16LE(6), left + width),
    height: Math.max(bytes.readUInt16LE(8), top + height)
  }
}

interface Frame extends Size {
  left: number
  top: number
}

/** The colour table that holds for all frames. */
function colours(bytes: Buffer): Buffer {
  return bytes.subarray(headerBytes, headerBytes + tableBytes(bytes.readUInt8(10)))
}

function tableBytes(flags: number): number {
  return (flags & 0x80) === 0 ? 0 : 3 * 2 ** ((flags & 7) + 1)
}

/** Where the first frame and its pixels lie, and the block before it that says which colour is transparent. */
function findFrame(bytes: Buffer): Frame & { control: Buffer; from: number; dataAt: number } {
  const step = createSteps('GIF', mostBlocks)
  let control = bytes.subarray(0, 0)
  for (let at = headerBytes + colours(bytes).length; ;) {
    step()
    const kind = bytes.readUInt8(at)
    if (kind === descriptor) {
      const [left, top] = [bytes.readUInt16LE(at + 1), bytes.readUInt16LE(at + 3)]
      const [width, height] = [bytes.readUInt16LE(at + 5), bytes.readUInt16LE(at + 7)]
      const dataAt = at + descriptorBytes + tableBytes(bytes.readUInt8(at + 9)) + 1
      return { control, from: at, dataAt, left, top, width, height }
    }
    if (kind !== extension) throw new FormatError('The GIF has no picture')
    const end = afterBlocks(bytes, at + 2, step)
    if (bytes.readUInt8(at + 1) === 0xf9) control = bytes.subarray(at, end)
    at = end
  }
}

/** Behind the empty block that ends a row of them; at the end of a file that is cut short. */
function afterBlocks(bytes: Buffer, from: number, step: () => void): number {
  let at = from
  for (let length = bytes[at]; length !== undefined && length > 0; length = bytes[at]) {
    step()
    at += 1 + length
  }
  return Math.min(at + 1, bytes.length)
}

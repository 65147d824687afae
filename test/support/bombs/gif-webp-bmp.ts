import sharp from 'sharp'
import { repeated, side, type Bomb } from './bomb.ts'

/** Codes of a GIF of one colour, each a run longer by one than that before. */
function lzw(pixels: number): Buffer {
  const bits: number[] = []
  const write = (code: number, size: number) => {
    for (let bit = 0; bit < size; bit++) bits.push((code >> bit) & 1)
  }
  const [clear, end] = [4, 5]
  let size = 3
  for (let left = pixels; left > 0;) {
    write(clear, size)
    size = 3
    for (let run = 1; left > 0 && run < 4_090; run++) {
      write(run === 1 ? 0 : run + 4, size)
      left -= run
      // The reader's table grows by a code with each but the first.
      if (run + 5 === 2 ** size && run > 1 && size < 12) size++
    }
  }
  write(end, size)
  const bytes = Buffer.alloc(Math.ceil(bits.length / 8))
  for (const [at, bit] of bits.entries()) bytes[at >> 3] = (bytes[at >> 3] ?? 0) | (bit << (at & 7))
  return bytes
}

interface Frame {
  left?: number
  top?: number
  width: number
  height: number
}

function gif(
  canvas: { width: number; height: number },
  frames: Frame[],
  data: Buffer = Buffer.from([2, 0x44, 1])
): Buffer {
  const header = Buffer.from('47494638396100000000800000ffffff000000', 'hex')
  header.writeUInt16LE(canvas.width, 6)
  header.writeUInt16LE(canvas.height, 8)
  const blocks: Buffer[] = []
  for (let at = 0; at < data.length; at += 255) {
    const block = data.subarray(at, at + 255)
    blocks.push(Buffer.of(block.length), block)
  }
  const pictures = frames.map(({ left = 0, top = 0, width, height }) => {
    const head = Buffer.from('2c000000000000000000', 'hex')
    for (const [i, value] of [left, top, width, height].entries()) head.writeUInt16LE(value, 1 + 2 * i)
    return Buffer.concat([head, Buffer.of(2), ...blocks, Buffer.of(0)])
  })
  return Buffer.concat([header, ...pictures, Buffer.of(0x3b)])
}

const square = { width: side, height: side }
const little = { width: 16, height: 16 }

export function gifBombs(): Bomb[] {
  const frame = Buffer.from('2c0000000001000100000202440100', 'hex')
  const extension = Buffer.from('21fe0141002c'.slice(0, 10), 'hex')
  const still = gif(little, [little], lzw(256))
  return [
    { name: 'gif claims 65535²', image: gif({ width: 65_535, height: 65_535 }, [{ width: 65_535, height: 65_535 }]) },
    { name: 'gif of 49 MP', image: gif(square, [square], lzw(side * side)) },
    { name: 'gif of a pixel on 49 MP', image: gif(square, [{ width: 1, height: 1, left: 3_000, top: 3_000 }]) },
    { name: 'gif of half on 49 MP', image: gif(square, [{ width: side, height: 3_500 }], lzw(side * 3_500)) },
    { name: 'gif far outside of its canvas', image: gif(little, [{ ...little, left: 65_000, top: 65_000 }]) },
    {
      name: 'gif of 600,000 frames',
      image: Buffer.concat([still.subarray(0, -1), repeated(frame, 600_000), Buffer.of(0x3b)])
    },
    {
      name: 'gif of 1,900,000 comments',
      image: Buffer.concat([still.subarray(0, 19), repeated(extension, 1_900_000), still.subarray(19)])
    },
    {
      name: 'gif of 65535 × 700',
      image: gif({ width: 65_535, height: 700 }, [{ width: 65_535, height: 700 }], lzw(65_535 * 700))
    }
  ]
}

function chunk(type: string, content: Buffer): Buffer {
  const head = Buffer.from(`${type}\0\0\0\0`, 'latin1')
  head.writeUInt32LE(content.length, 4)
  return Buffer.concat([head, content, Buffer.alloc(content.length % 2)])
}

function riff(...chunks: Buffer[]): Buffer {
  const head = Buffer.from('RIFF\0\0\0\0WEBP', 'latin1')
  head.writeUInt32LE(4 + chunks.reduce((sum, { length }) => sum + length, 0), 4)
  return Buffer.concat([head, ...chunks])
}

/** Lossless: five tables of one symbol each, so that a pixel takes no bit at all. */
function lossless(width: number, height: number): Buffer {
  const bytes = Buffer.alloc(40)
  bytes[0] = 0x2f
  let at = 8
  const write = (value: number, bits: number) => {
    for (let bit = 0; bit < bits; bit++, at++)
      bytes[at >> 3] = (bytes[at >> 3] ?? 0) | (((value >> bit) & 1) << (at & 7))
  }
  write(width - 1, 14)
  write(height - 1, 14)
  write(0, 1 + 3)
  // No transform, no cache of colours, one group of tables: each simple, of one symbol of one bit.
  write(0, 3)
  for (let table = 0; table < 5; table++) write(1, 4)
  return bytes
}

function canvas(width: number, height: number, flags: number): Buffer {
  const bytes = Buffer.alloc(10)
  bytes[0] = flags
  bytes.writeUIntLE(width - 1, 4, 3)
  bytes.writeUIntLE(height - 1, 7, 3)
  return bytes
}

function film(width: number, height: number, picture: Buffer, frames: number): Buffer {
  const head = Buffer.alloc(16)
  head.writeUIntLE(width - 1, 6, 3)
  head.writeUIntLE(height - 1, 9, 3)
  const frame = chunk('ANMF', Buffer.concat([head, chunk('VP8L', picture)]))
  return riff(chunk('VP8X', canvas(width, height, 2)), chunk('ANIM', Buffer.alloc(6)), repeated(frame, frames))
}

export async function webpBombs(): Promise<Bomb[]> {
  const noise = Buffer.alloc(9_000_000, 7)
  const lossy = await sharp({ create: { ...square, channels: 3, background: '#804020' } })
    .webp({ effort: 0 })
    .toBuffer()
  return [
    { name: 'webp claims 16383²', image: riff(chunk('VP8L', lossless(16_383, 16_383))) },
    {
      name: 'webp claims 2²⁴ × 2²⁴',
      image: riff(chunk('VP8X', canvas(2 ** 24, 2 ** 24, 0)), chunk('VP8L', lossless(16, 16)))
    },
    { name: 'webp of 49 MP', image: riff(chunk('VP8L', lossless(side, side))) },
    { name: 'webp of 49 MP, lossy', image: lossy },
    { name: 'webp of 16383 × 3000', image: riff(chunk('VP8L', lossless(16_383, 3_000))) },
    {
      name: 'webp that says 16² and is 49 MP',
      image: riff(chunk('VP8X', canvas(16, 16, 0)), chunk('VP8L', lossless(side, side)))
    },
    { name: 'webp of 130,000 frames', image: film(16, 16, lossless(16, 16), 130_000) },
    { name: 'webp of frames of 49 MP', image: film(side, side, lossless(side, side), 1_000) },
    { name: 'webp whose frame says 16² and is 49 MP', image: film(16, 16, lossless(side, side), 10) },
    {
      name: 'webp with a profile of 9 MB',
      image: riff(chunk('VP8X', canvas(16, 16, 0x20)), chunk('ICCP', noise), chunk('VP8L', lossless(16, 16)))
    },
    {
      name: 'webp of a million chunks',
      image: riff(
        chunk('VP8X', canvas(16, 16, 0)),
        repeated(chunk('JUNK', Buffer.alloc(0)), 1_000_000),
        chunk('VP8L', lossless(16, 16))
      )
    }
  ]
}

interface Bmp {
  width: number
  height: number
  bits?: number
  compression?: number
}

function bmp({ width, height, bits = 24, compression = 0 }: Bmp, pixels: Buffer): Buffer {
  const palette = bits <= 8 ? 1_024 : 0
  const head = Buffer.alloc(54 + palette, 60)
  head.fill(0, 0, 54)
  head.write('BM')
  head.writeUInt32LE(54 + palette, 10)
  head.writeUInt32LE(40, 14)
  head.writeInt32LE(width, 18)
  head.writeInt32LE(height, 22)
  head.writeUInt16LE(1, 26)
  head.writeUInt16LE(bits, 28)
  head.writeUInt32LE(compression, 30)
  return Buffer.concat([head, pixels])
}

export function bmpBombs(): Bomb[] {
  const runs = { bits: 8, compression: 1 }
  return [
    { name: 'bmp claims 65535²', image: bmp({ width: 65_535, height: 65_535 }, Buffer.alloc(1_000)) },
    { name: 'bmp claims a height of 2³¹', image: bmp({ width: 1, height: 0x7fffffff }, Buffer.alloc(1_000)) },
    { name: 'bmp claims a height of −2³¹', image: bmp({ width: 1, height: -0x80000000 }, Buffer.alloc(1_000)) },
    { name: 'bmp of 49 MP of runs', image: bmp({ ...square, ...runs }, Buffer.from([0, 1])) },
    { name: 'bmp of 16 MP of runs', image: bmp({ width: 4_000, height: 4_000, ...runs }, Buffer.from([0, 1])) },
    {
      name: 'bmp of 16 MP of full runs',
      image: bmp({ width: 4_000, height: 4_000, ...runs }, repeated(Buffer.from([255, 1]), 70_000))
    },
    {
      name: 'bmp of runs of nothing',
      image: bmp({ width: 4_000, height: 4_000, ...runs }, repeated(Buffer.from([0, 2, 0, 0]), 2_000_000))
    },
    {
      name: 'bmp of runs beyond the row',
      image: bmp({ width: 4_000, height: 4_000, ...runs }, repeated(Buffer.from([255, 1]), 4_500_000))
    },
    { name: 'bmp of 16 MP of 1 bit', image: bmp({ width: 4_000, height: 4_000, bits: 1 }, Buffer.alloc(2_000_000)) },
    { name: 'bmp of 16 million rows', image: bmp({ width: 1, height: 2_000_000, bits: 1 }, Buffer.alloc(8_000_000)) }
  ]
}

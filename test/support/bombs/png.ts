import { crc32, deflateSync } from 'node:zlib'
import { pngChunk } from '../../../apps/worker/test/support/pictures.ts'
import { repeated, side, uint32, type Bomb } from './bomb.ts'

const signature = Buffer.from('89504e470d0a1a0a', 'hex')
const end = pngChunk('IEND', Buffer.alloc(0))

interface Png {
  width: number
  height: number
  bits?: number
  colour?: keyof typeof samples
  isInterlaced?: boolean
}

/** Samples a pixel by colour type: grey, RGB, palette, grey and alpha, RGBA. */
const samples = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 }

/** Black, of as few bytes as deflate makes of it; `between` stands before the pixels. */
function png(
  { width, height, bits = 8, colour = 2, isInterlaced = false }: Png,
  { between = [], bytes }: { between?: Buffer[]; bytes?: number } = {}
): Buffer {
  const header = Buffer.concat([uint32(width, height), Buffer.from([bits, colour, 0, 0, Number(isInterlaced)])])
  const palette = colour === 3 ? [pngChunk('PLTE', Buffer.alloc(768, 90))] : []
  const row = 1 + Math.ceil((width * bits * samples[colour]) / 8)
  const pixels = deflateSync(Buffer.alloc(bytes ?? Math.min(row * height, 400_000_000)), { level: 1 })
  return Buffer.concat([signature, pngChunk('IHDR', header), ...palette, ...between, pngChunk('IDAT', pixels), end])
}

const little = { width: 16, height: 16 }
const square = { width: side, height: side }

/** Of 300 MB, which the server has no use for. */
const unpacked = () => deflateSync(Buffer.alloc(300_000_000), { level: 1 })

export function pngBombs(): Bomb[] {
  const text = (type: string, head: string) => pngChunk(type, Buffer.concat([Buffer.from(head, 'latin1'), unpacked()]))
  const nothing = pngChunk('tEXt', Buffer.from('k\0'))
  const frame = Buffer.concat([
    pngChunk('fcTL', Buffer.concat([uint32(0, 16, 16, 0, 0), Buffer.alloc(6)])),
    pngChunk('fdAT', uint32(0))
  ])
  const control = pngChunk('acTL', uint32(0xffffffff, 0))
  return [
    { name: 'png claims 65535²', image: png({ width: 65_535, height: 65_535 }, { bytes: 1_000 }) },
    { name: 'png claims 2³¹ × 2³¹', image: png({ width: 0x7fffffff, height: 0x7fffffff }, { bytes: 1_000 }) },
    { name: 'png of 49 MP', image: png(square) },
    { name: 'png of 49 MP, interlaced', image: png({ ...square, isInterlaced: true }) },
    { name: 'png of 49 MP, RGBA of 16 bits', image: png({ ...square, bits: 16, colour: 6 }) },
    { name: 'png of 49 MP, 1 bit of a palette', image: png({ ...square, bits: 1, colour: 3 }) },
    { name: 'png of 24 MP, interlaced', image: png({ width: 4_900, height: 4_900, isInterlaced: true }) },
    {
      name: 'png of 24 MP, interlaced RGBA of 16 bits',
      image: png({ width: 4_900, height: 4_900, bits: 16, colour: 6, isInterlaced: true })
    },
    { name: 'png 49 million wide', image: png({ width: 49_000_000, height: 1 }) },
    { name: 'png 49 million high', image: png({ width: 1, height: 49_000_000 }) },
    { name: 'png of 1,000,000 × 49', image: png({ width: 1_000_000, height: 49 }) },
    { name: 'png of 100,000 × 490', image: png({ width: 100_000, height: 490 }) },
    { name: 'png of 100,000 × 200', image: png({ width: 100_000, height: 200 }) },
    { name: 'png of 490 × 100,000', image: png({ width: 490, height: 100_000 }) },
    { name: 'png of 49 × 1,000,000', image: png({ width: 49, height: 1_000_000 }) },
    { name: 'png of 1 × 1,000,000', image: png({ width: 1, height: 1_000_000 }) },
    { name: 'png whose pixels are 1 GB too long', image: png(little, { bytes: 1_000_000_000 }) },
    { name: 'png with zTXt of 300 MB', image: png(little, { between: [text('zTXt', 'k\0\0')] }) },
    { name: 'png with iTXt of 300 MB', image: png(little, { between: [text('iTXt', 'k\0\x01\0\0\0')] }) },
    { name: 'png with iCCP of 300 MB', image: png(little, { between: [text('iCCP', 'k\0\0')] }) },
    {
      name: 'png with four iCCP',
      image: png(little, { between: Array.from({ length: 4 }, () => text('iCCP', 'k\0\0')) })
    },
    { name: 'png of 90,000 chunks', image: png(little, { between: [repeated(nothing, 90_000)] }) },
    { name: 'png of 600,000 chunks', image: png(little, { between: [repeated(nothing, 600_000)] }) },
    {
      name: 'png of 90,000 palettes',
      image: png(little, { between: [repeated(pngChunk('PLTE', Buffer.alloc(3)), 90_000)] })
    },
    {
      name: 'png of 90,000 times EXIF',
      image: png(little, { between: [repeated(pngChunk('eXIf', Buffer.from('II*\0')), 90_000)] })
    },
    { name: 'png of pixels in 90,000 chunks', image: inSingleBytes() },
    { name: 'apng of 100,000 frames', image: png(little, { between: [control, repeated(frame, 100_000)] }) },
    { name: 'png with a chunk of 4 GB', image: png(little, { between: [hugeChunk()] }) }
  ]
}

/** Each byte of the pixels in a chunk of its own. */
function inSingleBytes(): Buffer {
  const noise = Buffer.from(Array.from({ length: 90_000 }, (_, i) => (i * 7_919 + (i >> 3)) % 256))
  const pixels = deflateSync(Buffer.concat([Buffer.alloc(1), noise]), { level: 0 })
  const chunks = Array.from(pixels.subarray(0, 90_000), byte => pngChunk('IDAT', Buffer.of(byte)))
  const header = Buffer.concat([uint32(30_000, 1), Buffer.from([8, 2, 0, 0, 0])])
  return Buffer.concat([signature, pngChunk('IHDR', header), ...chunks, end])
}

function hugeChunk(): Buffer {
  const body = Buffer.from('tEXtk\0')
  return Buffer.concat([uint32(0xfffffff0), body, uint32(crc32(body))])
}

import { deflateSync } from 'node:zlib'
import { tiff, type Kind } from '../../../apps/worker/test/support/tiff.ts'
import { repeated, side, type Bomb } from './bomb.ts'
import { progressive } from './jpeg.ts'

const square = { width: side, height: side }
const deflate = 8
const lzw = 5

/** `bytes` of zeros. */
const zeros = (bytes: number) => deflateSync(Buffer.alloc(bytes), { level: 1 })

/** The same of LZW as TIFF has it: from the highest bit on, and a code longer one code earlier than in GIF. */
function lzwZeros(count: number): Buffer {
  const bits: number[] = []
  const write = (code: number, size: number) => {
    for (let bit = size - 1; bit >= 0; bit--) bits.push((code >> bit) & 1)
  }
  let size = 9
  for (let left = count; left > 0;) {
    write(256, size)
    size = 9
    for (let run = 1; left > 0 && run < 3_800; run++) {
      write(run === 1 ? 0 : run + 256, size)
      left -= run
      if (run > 1 && run + 258 === 2 ** size) size++
    }
  }
  write(257, size)
  const bytes = Buffer.alloc(Math.ceil(bits.length / 8))
  for (const [at, bit] of bits.entries()) bytes[at >> 3] = (bytes[at >> 3] ?? 0) | (bit << (7 - (at & 7)))
  return bytes
}

/** One strip or tile that all of the picture's parts point at. */
function shared(kind: Kind, piece: Buffer, count: number): Buffer {
  return tiff(kind, [piece], count)
}

export function tiffBombs(): Bomb[] {
  const little = tiff({ compression: deflate }, [zeros(32 * 32 * 3)])
  const row = zeros(side * 3)
  const tile = zeros(256 * 256 * 3)
  return [
    { name: 'tiff claims 65535²', image: tiff({ width: 65_535, height: 65_535, compression: deflate }, [row]) },
    {
      name: 'tiff claims 2³¹ × 2³¹',
      image: tiff({ width: 0x7fffffff, height: 0x7fffffff, compression: deflate }, [row])
    },
    { name: 'tiff of 49 MP in one strip', image: tiff({ ...square, compression: deflate }, [zeros(side * side * 3)]) },
    {
      name: 'tiff of 49 MP in one strip of LZW',
      image: tiff({ ...square, compression: lzw }, [lzwZeros(side * side * 3)])
    },
    {
      name: 'tiff of 49 MP in one strip, RGBA of 16 bits',
      image: tiff({ ...square, bits: 16, samples: 4, extra: 2, compression: deflate }, [zeros(side * side * 8)])
    },
    {
      name: 'tiff of 49 MP in one strip, CMYK',
      image: tiff({ ...square, samples: 4, photometric: 5, compression: deflate }, [zeros(side * side * 4)])
    },
    {
      name: 'tiff of 49 MP in one strip of each colour',
      image: tiff(
        { ...square, planar: true, compression: deflate },
        [0, 1, 2].map(() => zeros(side * side))
      )
    },
    { name: 'tiff of 49 MP in 7,000 strips', image: shared({ ...square, rows: 1, compression: deflate }, row, side) },
    { name: 'tiff of 49 MP in tiles', image: shared({ ...square, tile: 256, compression: deflate }, tile, 28 * 28) },
    {
      name: 'tiff of 49 MP in one tile',
      image: tiff({ ...square, tile: 7_008, compression: deflate }, [zeros(7_008 * 7_008 * 3)])
    },
    {
      name: 'tiff of 49 MP in one tile, RGBA of 16 bits',
      image: tiff({ ...square, tile: 7_008, bits: 16, samples: 4, extra: 2, compression: deflate }, [
        zeros(7_008 * 7_008 * 8)
      ])
    },
    {
      name: 'tiff of 12 MP in tiles of each colour',
      image: shared(
        { width: 3_584, height: 3_584, tile: 256, planar: true, compression: deflate },
        zeros(256 * 256),
        14 * 14 * 3
      )
    },
    {
      name: 'tiff of 49 MP in tiles of each colour',
      image: shared({ ...square, tile: 256, planar: true, compression: deflate }, zeros(256 * 256), 28 * 28 * 3)
    },
    {
      name: 'tiff of 48 MP in strips of a pixel',
      image: shared({ width: 1, height: 90_000, rows: 1, compression: deflate }, zeros(3), 90_000)
    },
    {
      name: 'tiff of 300,000 strips',
      image: shared({ width: 16, height: 300_000, rows: 1, compression: deflate }, zeros(48), 300_000)
    },
    {
      name: 'tiff of tiles of 16²',
      image: shared({ width: 4_800, height: 4_800, tile: 16, compression: deflate }, zeros(768), 90_000)
    },
    {
      name: 'tiff of 49 MP of 1 bit',
      image: tiff({ ...square, bits: 1, samples: 1, photometric: 1, compression: deflate }, [zeros(875 * side)])
    },
    {
      name: 'tiff of 49 MP of fax',
      image: tiff({ ...square, bits: 1, samples: 1, photometric: 1, compression: 4 }, [Buffer.alloc(side, 0xff)])
    },
    { name: 'tiff whose strip unpacks to 1 GB', image: tiff({ compression: deflate }, [zeros(1_000_000_000)]) },
    {
      name: 'tiff of 1,000,000 × 49',
      image: tiff({ width: 1_000_000, height: 49, compression: deflate }, [zeros(147_000_000)])
    },
    {
      name: 'tiff of 100,000 × 490',
      image: tiff({ width: 100_000, height: 490, compression: deflate }, [zeros(147_000_000)])
    },
    {
      name: 'tiff of 49 × 1,000,000',
      image: tiff({ width: 49, height: 1_000_000, compression: deflate }, [zeros(147_000_000)])
    },
    {
      name: 'tiff 49 million wide',
      image: tiff({ width: 49_000_000, height: 1, compression: deflate }, [zeros(147_000_000)])
    },
    {
      name: 'tiff 49 million high',
      image: tiff({ width: 1, height: 49_000_000, compression: deflate }, [zeros(147_000_000)])
    },
    {
      name: 'tiff of JPEG of 49 MP, 99 scans',
      image: tiff({ ...square, photometric: 6, compression: 7 }, [progressive({ scans: 99 })])
    },
    {
      name: 'tiff of 32² of JPEG of 49 MP',
      image: tiff({ photometric: 6, compression: 7 }, [progressive({ scans: 10 })])
    },
    { name: 'tiff of 100,000 pages', image: pages(little, 100_000) },
    { name: 'tiff whose page is its own next', image: circle(little) },
    { name: 'tiff of 60,000 tags', image: manyTags(60_000) },
    { name: 'tiff with a tag of 4 GB', image: longTag(little) }
  ]
}

/** Where the next page stands. */
function nextAt(file: Buffer): number {
  const directory = file.readUInt32LE(4)
  return directory + 2 + 12 * file.readUInt16LE(directory)
}

function circle(file: Buffer): Buffer {
  const copy = Buffer.from(file)
  copy.writeUInt32LE(copy.readUInt32LE(4), nextAt(copy))
  return copy
}

/** Pages of one tag each behind the first. */
function pages(file: Buffer, count: number): Buffer {
  const page = Buffer.alloc(18)
  page.writeUInt16LE(1, 0)
  page.writeUInt16LE(256, 2)
  page.writeUInt16LE(4, 4)
  page.writeUInt32LE(1, 6)
  const start = file.length + (file.length % 2)
  const all = Buffer.concat([file, Buffer.alloc(file.length % 2), repeated(page, count)])
  all.writeUInt32LE(start, nextAt(file))
  for (let i = 0; i + 1 < count; i++) all.writeUInt32LE(start + 18 * (i + 1), start + 18 * i + 14)
  return all
}

function manyTags(count: number): Buffer {
  const head = Buffer.from('II*\0\x08\0\0\0\0\0', 'latin1')
  head.writeUInt16LE(count, 8)
  const entries = Array.from({ length: count }, (_, i) => {
    const entry = Buffer.alloc(12)
    entry.writeUInt16LE(i, 0)
    entry.writeUInt16LE(3, 2)
    entry.writeUInt32LE(1, 4)
    return entry
  })
  return Buffer.concat([head, ...entries, Buffer.alloc(4)])
}

/** A tag of bytes that says it has four billion. */
function longTag(file: Buffer): Buffer {
  const copy = Buffer.from(file)
  const orientation = copy.indexOf(Buffer.from([0x12, 0x01, 3, 0]))
  copy.writeUInt32LE(0xfffffff0, orientation + 4)
  return copy
}

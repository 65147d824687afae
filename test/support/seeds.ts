import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import sharp, { type Sharp } from 'sharp'
import { root } from '../../scripts/bootstrap.js'
import type { Seed } from './mutate.ts'
import { fixtures } from './system.ts'

/** More bytes mean fewer mutants a second, and not other bugs. */
const maxBytes = 120_000

/** Whole pictures of every kind: ours, small ones made here, and those of ../shared/assets where they are. */
export async function collectSeeds(): Promise<Seed[]> {
  const generated = Object.entries(kinds).map(async ([name, encode]) => ({
    name,
    image: await encode(picture()).toBuffer()
  }))
  return [
    ...fixtures.map(({ file, image }) => ({ name: file, image })),
    ...(await Promise.all(generated)),
    { name: 'animated.gif', image: await film().gif().toBuffer() },
    { name: 'animated.webp', image: await film().webp().toBuffer() },
    ...bitmaps(),
    ...filesIn('odd-images'),
    ...filesIn('photos').slice(0, 10)
  ]
}

const [width, height] = [60, 44]

/** Colours, edges and transparency. */
function picture(): Sharp {
  const pixels = Uint8Array.from({ length: width * height * 4 }, (_, i) => {
    const [x, y] = [(i >> 2) % width, Math.floor((i >> 2) / width)]
    return [x * 4, y * 5, (x ^ y) * 3, x < 40 ? 255 : 90][i % 4] ?? 0
  })
  return sharp(pixels, { raw: { width, height, channels: 4 } })
}

/** Five frames, one below the other. */
function film(): Sharp {
  const pixels = Uint8Array.from({ length: width * height * 5 * 3 }, (_, i) => (i * 7) % 256)
  return sharp(pixels, { raw: { width, height: height * 5, channels: 3, pageHeight: height } })
}

const kinds: Record<string, (picture: Sharp) => Sharp> = {
  'baseline.jpg': picture => picture.jpeg(),
  'progressive.jpg': picture => picture.jpeg({ progressive: true, chromaSubsampling: '4:4:4' }),
  'grey.jpg': picture => picture.toColourspace('b-w').jpeg(),
  'cmyk.jpg': picture => picture.toColourspace('cmyk').jpeg(),
  'turned.jpg': picture => picture.withMetadata({ orientation: 6 }).jpeg(),
  'p3.jpg': picture => picture.withIccProfile('p3').jpeg(),
  'plain.png': picture => picture.png(),
  'palette.png': picture => picture.png({ palette: true }),
  'interlaced.png': picture => picture.png({ progressive: true }),
  'deep.png': picture => picture.toColourspace('rgb16').png(),
  'p3.png': picture => picture.withIccProfile('p3').png(),
  'grey.png': picture => picture.removeAlpha().toColourspace('b-w').png(),
  'lossy.webp': picture => picture.webp(),
  'lossless.webp': picture => picture.webp({ lossless: true }),
  'still.gif': picture => picture.gif(),
  'plain.avif': picture => picture.avif({ effort: 0 }),
  'deep.avif': picture => picture.avif({ effort: 0, bitdepth: 8, chromaSubsampling: '4:4:4', lossless: true }),
  'lzw.tif': picture => picture.tiff({ compression: 'lzw' }),
  'deflate.tif': picture => picture.tiff({ compression: 'deflate', predictor: 'none' }),
  'jpeg.tif': picture => picture.removeAlpha().tiff({ compression: 'jpeg' }),
  'packbits.tif': picture => picture.tiff({ compression: 'packbits' }),
  'tiles.tif': picture => picture.tiff({ tile: true, tileWidth: 16, tileHeight: 16 }),
  'deep.tif': picture => picture.toColourspace('rgb16').tiff(),
  'fax.tif': picture => picture.removeAlpha().toColourspace('b-w').tiff({ compression: 'ccittfax4', bitdepth: 1 })
}

/** BMP of 24 bits, and of 8 in runs, which sharp does not write. */
function bitmaps(): Seed[] {
  const head = (bits: number, compression: number, offset: number) => {
    const bytes = Buffer.alloc(offset)
    bytes.write('BM')
    for (const [at, value] of [
      [10, offset],
      [14, 40],
      [18, 16],
      [22, 16],
      [30, compression]
    ] as const)
      bytes.writeUInt32LE(value, at)
    bytes.writeUInt16LE(1, 26)
    bytes.writeUInt16LE(bits, 28)
    return bytes
  }
  const palette = head(8, 1, 54 + 1_024).fill(Buffer.from([10, 60, 200, 0, 90, 160, 30, 0]), 54)
  const runs = Array.from({ length: 16 }, (_, y) => [8, y, 0, 4, 1, 2, 3, 4, 4, 255 - y, 0, 0]).flat()
  return [
    {
      name: '24.bmp',
      image: Buffer.concat([head(24, 0, 54), Buffer.from(Array.from({ length: 16 * 48 }, (_, i) => i % 256))])
    },
    { name: 'runs.bmp', image: Buffer.concat([palette, Buffer.from([...runs, 0, 1])]) }
  ]
}

function filesIn(folder: string): Seed[] {
  const path = join(root, '../shared/assets', folder)
  if (!existsSync(path)) return []
  return readdirSync(path)
    .toSorted()
    .map(name => ({ name, image: readFileSync(join(path, name)) }))
    .filter(({ image }) => image.length <= maxBytes)
}

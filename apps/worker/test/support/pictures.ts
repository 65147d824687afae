import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import sharp, { type Sharp } from 'sharp'
import type { Input } from '@streamsight/models'
import type { ImageFormat } from '@streamsight/images'
import { createDecoder } from '../../dist/pixels/decode.js'
import { withinMemory } from '../../dist/pixels/decode-memory.js'
import type { Decoder } from '../../src/pixels/decoder.ts'

export const root = join(import.meta.dirname, '../../../..')

/** What tests may use but the project does not own; not everybody has it. */
export const assets = join(root, '../shared/assets')

/** Why a test that needs `folder` of the assets can't run, for its `skip` option; false if it can. */
export function without(folder: string): string | false {
  return existsSync(join(assets, folder)) ? false : `needs ../shared/assets/${folder}, which is not here`
}

export interface Picture {
  file: string
  type: ImageFormat
  image: Buffer
}

const types: Record<string, ImageFormat> = {
  jpg: 'jpeg',
  jpeg: 'jpeg',
  png: 'png',
  webp: 'webp',
  gif: 'gif',
  bmp: 'bmp',
  tif: 'tiff',
  tiff: 'tiff',
  avif: 'avif',
  heif: 'heic',
  heic: 'heic',
  svg: 'png',
  jp2: 'png'
}

export function pictures(folder: string): Picture[] {
  return readdirSync(folder).flatMap(file => {
    const type = types[file.split('.').at(-1)?.toLowerCase() ?? '']
    return type === undefined ? [] : [{ file, type, image: readFileSync(join(folder, file)) }]
  })
}

/** Pictures of ours, and what the model everyday says to them. */
export const fixtures = pictures(join(root, 'test/fixtures'))
export const expected = JSON.parse(readFileSync(join(root, 'test/fixtures/expected.json'), 'utf8')) as Record<
  string,
  string
>

/** A square input, plain but for what is given. */
export function inputOf(input: Partial<Input> & { width: number }): Input {
  return {
    height: input.width,
    channels: 'RGB',
    fit: 'cover',
    cropFraction: 1,
    kernel: 'lanczos3',
    scale: 1 / 255,
    mean: [0, 0, 0],
    std: [1, 1, 1],
    ...input
  }
}

/** The decoder for one input, as a worker has it. */
export async function decoderOf(input: Input, maxPixels = 50_000_000): Promise<Decoder> {
  const onWedged = (what: string) => {
    throw new Error(what)
  }
  return withinMemory(await createDecoder(input), { maxPixels, maxBytes: 250e6, maxRunning: 4, maxLarge: 2, onWedged })
}

export type Colour = readonly [red: number, green: number, blue: number, alpha?: number]

/** A picture whose pixels are given row by row. */
export function draw(rows: ReadonlyArray<readonly Colour[]>): Sharp {
  const width = rows[0]?.length ?? 0
  const channels = rows[0]?.[0]?.length === 4 ? 4 : 3
  return sharp(Buffer.from(rows.flat(2) as number[]), { raw: { width, height: rows.length, channels } })
}

/** A row of `columns` and `rows` rows from a formula. */
export function grid(columns: number, rows: number, colour: (x: number, y: number) => Colour): Colour[][] {
  return Array.from({ length: rows }, (_, y) => Array.from({ length: columns }, (_, x) => colour(x, y)))
}

export function meanDifference(a: Uint8Array, b: Uint8Array): number {
  if (a.length !== b.length) throw new Error(`${a.length} bytes against ${b.length}`)
  return a.reduce((sum, value, i) => sum + Math.abs(value - (b[i] ?? 0)), 0) / a.length
}

/** `work` on each, `width` at a time, results in order. */
export async function inParallel<T, R>(items: readonly T[], work: (item: T) => Promise<R>, width = 4): Promise<R[]> {
  const results: R[] = []
  let next = 0
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (let i = next++; i < items.length; i = next++) results[i] = await work(items[i] as T)
    })
  )
  return results
}

/** A chunk of a PNG, with its length and checksum. */
export function pngChunk(type: string, content: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), content])
  const [length, checksum] = [Buffer.alloc(4), Buffer.alloc(4)]
  length.writeUInt32BE(content.length)
  checksum.writeUInt32BE(crc32(body))
  return Buffer.concat([length, body, checksum])
}

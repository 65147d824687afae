import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import { root } from '../../../scripts/bootstrap.js'
import { repeated, type Bomb } from './bomb.ts'
import { box, extents, gridOf, heif, overlayOf, version } from './heif-file.ts'

export interface Tile {
  brand: string
  type: string
  /** The box of the coder's settings. */
  settings: Buffer
  content: Buffer
  width: number
  height: number
}

/** A coded picture out of a file that has one. */
export function tileOf(
  file: Buffer,
  { brand, type, settingsType }: { brand: string; type: string; settingsType: string }
): Tile {
  const settingsAt = file.indexOf(settingsType) - 4
  const extentsAt = file.indexOf('ispe') + 8
  const contentAt = file.indexOf('mdat') + 4
  return {
    brand,
    type,
    settings: file.subarray(settingsAt, settingsAt + file.readUInt32BE(settingsAt)),
    content: file.subarray(contentAt, contentAt - 8 + file.readUInt32BE(contentAt - 8)),
    width: file.readUInt32BE(extentsAt),
    height: file.readUInt32BE(extentsAt + 4)
  }
}

export async function avifTile(width: number, height = width): Promise<Tile> {
  const file = await sharp({ create: { width, height, channels: 3, background: '#804020' } })
    .avif({ effort: 0, chromaSubsampling: '4:2:0' })
    .toBuffer()
  return tileOf(file, { brand: 'avif', type: 'av01', settingsType: 'av1C' })
}

/** HEVC can't be coded here: the tile of a file that is. */
export function heicTile(): Tile {
  const file = readFileSync(join(root, 'apps/worker/test/support/ship.heic'))
  return tileOf(file, { brand: 'heic', type: 'hvc1', settingsType: 'hvcC' })
}

/** A tile alone, which says another size than it has, or lies in several places. */
export function single(
  tile: Tile,
  { width, height, content = [tile.content] }: Partial<Omit<Tile, 'content'>> & { content?: Buffer[] } = {}
): Buffer {
  return heif({
    brand: tile.brand,
    items: [{ id: 1, type: tile.type, content, properties: [1, 2] }],
    properties: [extents(width ?? tile.width, height ?? tile.height), tile.settings]
  })
}

/** A picture made of one tile again and again. */
export function made(
  tile: Tile,
  {
    type = 'grid',
    content,
    to,
    width,
    height
  }: { type?: string; content: Buffer; to: number[]; width: number; height: number }
): Buffer {
  return heif({
    brand: tile.brand,
    items: [
      { id: 1, type, content: [content], properties: [3] },
      { id: 2, type: tile.type, content: [tile.content], properties: [1, 2] }
    ],
    properties: [extents(tile.width, tile.height), tile.settings, extents(width, height)],
    references: [{ type: 'dimg', from: 1, to }]
  })
}

/** Layers of items, each of which is made of all items of the next: paths without number in a small file. */
export function web(tile: Tile, { wide, deep }: { wide: number; deep: number }): Buffer {
  const id = (layer: number, i: number) => 2 + layer * wide + i
  const layers = Array.from({ length: deep * wide }, (_, i) => ({ layer: Math.floor(i / wide), i: i % wide }))
  const next = (layer: number) => Array.from({ length: wide }, (_, i) => id(layer, i))
  const overlay = overlayOf(wide, 64, 64)
  return heif({
    brand: tile.brand,
    items: [
      { id: 1, type: 'iovl', content: [overlay], properties: [3] },
      ...layers.map(({ layer, i }) => ({ id: id(layer, i), type: 'iovl', content: [overlay], properties: [3] })),
      ...next(deep).map(last => ({ id: last, type: tile.type, content: [tile.content], properties: [1, 2] }))
    ],
    properties: [extents(tile.width, tile.height), tile.settings, extents(64, 64)],
    references: [
      { type: 'dimg', from: 1, to: next(0) },
      ...layers.map(({ layer, i }) => ({ type: 'dimg', from: id(layer, i), to: next(layer + 1) }))
    ]
  })
}

const again = (count: number) => Array.from({ length: count }, () => 2)

/** A unit of AV1 that says nothing. */
const delimiter = Buffer.from([0x12, 0])

export async function heifBombs(): Promise<Bomb[]> {
  const [small, large] = [await avifTile(64), await avifTile(4_000)]
  const tiles = [small, heicTile()]
  const nested = (depth: number) => {
    let inner: Buffer = Buffer.alloc(0)
    for (let i = 0; i < depth; i++) inner = box('meta', version(0), inner)
    return inner
  }
  return [
    ...tiles.flatMap(tile => bombsOf(tile)),
    { name: 'avif of 16 MP', image: single(large) },
    { name: 'avif of 16 MP that says 16²', image: single(large, { width: 16, height: 16 }) },
    {
      name: 'avif of 16 MP that says 16², after 20 empty units',
      image: single(large, {
        width: 16,
        height: 16,
        content: [Buffer.concat([repeated(delimiter, 20), large.content])]
      })
    },
    {
      name: 'avif of 16 MP that says 16², in pieces',
      image: single(large, { width: 16, height: 16, content: [delimiter, large.content] })
    },
    {
      name: 'avif grid of four of 16 MP that says 1000²',
      image: made(large, { content: gridOf(2, 2, 1_000, 1_000), to: again(4), width: 1_000, height: 1_000 })
    },
    {
      name: 'avif whose second sequence is of 16 MP',
      image: single(small, { content: [small.content, large.content] })
    },
    { name: 'avif with transparency of 16 MP', image: withTransparency(small, large) },
    {
      name: 'avif of nested boxes',
      image: Buffer.concat([box('ftyp', Buffer.from('avif\0\0\0\0mif1avif', 'latin1')), nested(3_000)])
    },
    {
      name: 'avif of 1,200,000 boxes',
      image: Buffer.concat([
        box('ftyp', Buffer.from('avif\0\0\0\0mif1avif', 'latin1')),
        repeated(box('free'), 1_200_000)
      ])
    },
    {
      name: 'avif with a film of nested boxes',
      image: heif({
        brand: 'avif',
        items: [{ id: 1, type: 'av01', content: [small.content], properties: [1, 2] }],
        properties: [extents(64, 64), small.settings],
        before: [box('moov', nested(3_000))]
      })
    }
  ]
}

function bombsOf(tile: Tile): Bomb[] {
  const { brand, width, height } = tile
  const name = (what: string) => `${brand} ${what}`
  const loop = heif({
    brand,
    items: [
      { id: 1, type: 'grid', content: [gridOf(1, 1, width, height)], properties: [1] },
      { id: 2, type: 'grid', content: [gridOf(1, 1, width, height)], properties: [1] }
    ],
    properties: [extents(width, height)],
    references: [
      { type: 'dimg', from: 1, to: [2] },
      { type: 'dimg', from: 2, to: [1] }
    ]
  })
  return [
    { name: name('claims 65535²'), image: single(tile, { width: 65_535, height: 65_535 }) },
    { name: name('claims 2³¹ × 2³¹'), image: single(tile, { width: 0x7fffffff, height: 0x7fffffff }) },
    {
      name: name('grid of 100 × 100'),
      image: made(tile, {
        content: gridOf(100, 100, 100 * width, 100 * height),
        to: again(10_000),
        width: 100 * width,
        height: 100 * height
      })
    },
    {
      name: name('grid of 100 × 100 that says 64²'),
      image: made(tile, { content: gridOf(100, 100, 64, 64), to: again(10_000), width: 64, height: 64 })
    },
    {
      name: name('grid of 255 × 255'),
      image: made(tile, { content: gridOf(255, 255, 64, 64), to: again(65_025), width: 64, height: 64 })
    },
    {
      name: name('overlay of 15,000'),
      image: made(tile, { type: 'iovl', content: overlayOf(15_000, 64, 64), to: again(15_000), width: 64, height: 64 })
    },
    {
      name: name('overlay on 49 MP'),
      image: made(tile, { type: 'iovl', content: overlayOf(1, 7_000, 7_000), to: [2], width: 7_000, height: 7_000 })
    },
    {
      name: name('overlay on 49 MP that says 64²'),
      image: made(tile, { type: 'iovl', content: overlayOf(1, 7_000, 7_000), to: [2], width: 64, height: 64 })
    },
    {
      name: name('grid on 49 MP that says 64²'),
      image: made(tile, { content: gridOf(1, 1, 7_000, 7_000), to: [2], width: 64, height: 64 })
    },
    { name: name('of overlays of overlays'), image: web(tile, { wide: 70, deep: 3 }) },
    { name: name('in a circle'), image: loop }
  ]
}

function withTransparency(tile: Tile, alpha: Tile): Buffer {
  const kind = box('auxC', version(0), Buffer.from('urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0'))
  return heif({
    brand: tile.brand,
    items: [
      { id: 1, type: tile.type, content: [tile.content], properties: [1, 2] },
      { id: 2, type: alpha.type, content: [alpha.content], properties: [1, 3, 4] }
    ],
    properties: [extents(64, 64), tile.settings, alpha.settings, kind],
    references: [{ type: 'auxl', from: 2, to: [1] }]
  })
}

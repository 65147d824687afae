import assert from 'node:assert/strict'
import { test } from 'node:test'
import { imageFormats, sniff, type ImageFormat } from '@streamsight/images'
import { ApiError, type ErrorCode } from '../src/errors.ts'
import { readUpload } from '../src/http/read-upload.ts'

const limits = { maxBytes: 20_000_000, maxPixels: 1_000_000 }

/** The shortest beginnings that still say what a file is. */
const beginnings: Record<ImageFormat, Buffer[]> = {
  jpeg: [latin1('\xff\xd8\xff')],
  png: [latin1('\x89PNG\r\n\x1a\n')],
  webp: [latin1('RIFF\x01\x02\x03\x04WEBP'), latin1('RIFF\n\r\0\0WEBP')],
  gif: [latin1('GIF87a'), latin1('GIF89a')],
  avif: [ftyp('avif', 'mif1', 'miaf'), ftyp('avis', 'msf1'), ftyp('mif1', 'miaf', 'avif'), ftyp('msf1', 'avis')],
  tiff: [latin1('II*\0'), latin1('MM\0*'), latin1('II+\0'), latin1('MM\0+')],
  heic: [ftyp('heic', 'mif1', 'heic'), ftyp('mif1', 'heic', 'miaf')],
  bmp: [latin1('BM')]
}

for (const type of imageFormats) {
  test(`${type} is known by its first bytes`, () => {
    for (const bytes of beginnings[type]) {
      assert.equal(sniff(Buffer.concat([bytes, Buffer.alloc(32)])), type)
      assert.equal(sniff(bytes), type)
      assert.equal(sniff(bytes.subarray(0, 2)), type === 'bmp' ? type : undefined)
    }
  })
}

const refused: Record<string, Buffer> = {
  nothing: Buffer.alloc(0),
  zeros: Buffer.alloc(64),
  text: Buffer.from('Dear reader,'),
  'an SVG': Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>'),
  'an HTML page': Buffer.from('<!doctype html>'),
  'a film': ftyp('isom', 'iso2', 'avc1', 'mp41'),
  'a film whose version spells avif across two brands': ftyp('isom', 'xxav', 'ifxx'),
  'a JPEG 2000': latin1('\0\0\0\x0cjP  \r\n\x87\n'),
  'a JPEG XL': latin1('\xff\x0a'),
  'an ICO': latin1('\0\0\x01\0\x01\0'),
  'a PSD': latin1('8BPS\0\x01'),
  'a RIFF that is sound': latin1('RIFF\x01\x02\x03\x04WAVE'),
  'a PDF': Buffer.from('%PDF-1.7'),
  'a GIF of no known version': Buffer.from('GIF88a')
}

for (const [what, bytes] of Object.entries(refused)) {
  test(`${what} is no image to us`, () => assert.equal(sniff(bytes), undefined))
}

test('a JPEG is measured wherever its frame header stands', async () => {
  const before: Record<string, Buffer> = {
    nothing: Buffer.alloc(0),
    'a large segment': segment(0xe2, Buffer.alloc(65_000, 0xff)),
    'megabytes of segments': Buffer.concat(Array.from({ length: 100 }, () => segment(0xe2, Buffer.alloc(65_000)))),
    'a thumbnail in a segment': segment(0xe1, Buffer.concat([latin1('\xff\xd8'), jpegFrame(0xc0, 160, 120)])),
    'fill bytes': Buffer.alloc(7, 0xff),
    'bytes that belong nowhere': Buffer.from('oh, hello'),
    tables: Buffer.concat([
      segment(0xdb, Buffer.alloc(65)),
      segment(0xc4, Buffer.alloc(30)),
      segment(0xdd, Buffer.alloc(2))
    ]),
    'markers without a length': latin1('\xff\x01\xff\xd0')
  }
  for (const [what, bytes] of Object.entries(before)) {
    const jpeg = (width: number) =>
      Buffer.concat([latin1('\xff\xd8\xff\xe0\0\x04ab'), bytes, jpegFrame(0xc0, width, 1_000)])
    await assertTooManyPixels(jpeg(1_001), '1001 × 1000', what)
    assert.equal(await typeOf(jpeg(1_000)), 'jpeg', what)
  }
})

test('a JPEG of a coding that nobody reads is refused by its header', async () => {
  for (const marker of [0xc0, 0xc1, 0xc2, 0xc9, 0xca])
    await assertTooManyPixels(Buffer.concat([latin1('\xff\xd8'), jpegFrame(marker, 1_001, 1_000)]), '1001 × 1000')
  for (const marker of [0xc3, 0xc5, 0xcb])
    await assertRefused(Buffer.concat([latin1('\xff\xd8'), jpegFrame(marker, 10, 10)]), 'UNDECODABLE_IMAGE')
})

test('an AVIF is measured by its primary picture, and by the sum of what that is made of', async () => {
  await assertTooManyPixels(heif({ size: [1_200, 900] }), '1200 × 900')
  assert.equal(await typeOf(heif({ size: [1_000, 1_000] })), 'avif')
  assert.equal(await typeOf(heif({ size: [640, 480], brands: ftyp('mif1', 'avif', 'miaf') })), 'avif')
  assert.equal(await typeOf(heif({ size: [640, 480], brands: ftyp('avis', 'msf1') })), 'avif')
  assert.equal(await typeOf(heif({ size: [640, 480], brands: ftyp('heic', 'mif1') })), 'heic')
  // Tiles overhang the edge a little, and may not be four times the picture.
  assert.equal(await typeOf(heif({ size: [1_000, 1_000], tiles: [4, 512, 512] })), 'avif')
  const lie = heif({ size: [100, 100], tiles: [4, 1_000, 1_000] })
  await assert.rejects(typeOf(lie), { code: 'TOO_MANY_PIXELS', message: /parts of 4000000 pixels together/ }, 'A3')
})

test('the other types are measured', async () => {
  const png = Buffer.alloc(33)
  png.write('\x89PNG\r\n\x1a\n\0\0\0\rIHDR', 'latin1')
  png.writeUInt32BE(30_000, 16)
  png.writeUInt32BE(20_000, 20)
  await assertTooManyPixels(png, '30000 × 20000')

  await assertTooManyPixels(gif(2_000, 3_000), '2000 × 3000')

  const bmp = Buffer.alloc(54)
  bmp.write('BM')
  bmp.writeInt32LE(4_000, 18)
  bmp.writeInt32LE(-5_000, 22)
  await assertTooManyPixels(bmp, '4000 × 5000')

  const os2 = Buffer.alloc(26)
  os2.write('BM')
  os2.writeUInt32LE(12, 14)
  os2.writeUInt16LE(1_000, 18)
  os2.writeUInt16LE(1_000, 20)
  assert.equal(await typeOf(os2), 'bmp')
  os2.writeUInt16LE(1_001, 20)
  await assertTooManyPixels(os2, '1000 × 1001')

  const webp = Buffer.alloc(40)
  webp.write('RIFF\0\0\0\0WEBPVP8X\n\0\0\0', 'latin1')
  webp.writeUIntLE(5_999, 24, 3)
  webp.writeUIntLE(6_999, 27, 3)
  await assertTooManyPixels(webp, '6000 × 7000')
})

test('a file that says what it is and nothing more can’t be decoded', async () => {
  for (const type of imageFormats) {
    for (const bytes of beginnings[type]) {
      await assertRefused(bytes, 'UNDECODABLE_IMAGE', type)
    }
  }
})

test('what lies behind a short image in memory is not taken for its size', async () => {
  for (const start of ['GIF89a', 'BM', 'RIFFxxxxWEBPVP8X', '\x89PNG\r\n\x1a\n\0\0\0\rIHDR', 'II*\0']) {
    const memory = latin1(`${start}${'the key of somebody else'.repeat(4)}`)
    await assertRefused(memory.subarray(0, start.length), 'UNDECODABLE_IMAGE', start)
  }
})

// The gateway serves everybody else on the thread that reads this. With the square of the number of parts, as a library did
// it, the AVIF would take minutes.
test('a file that was made to be slow to measure is not', async () => {
  await assertRefused(heif({ size: [10, 10], tiles: [60_000, 1, 1] }), 'UNDECODABLE_IMAGE')
  await assertRefused(Buffer.concat([latin1('\xff\xd8\xff\xe0'), Buffer.alloc(10_000_000)]), 'UNDECODABLE_IMAGE')
  await assertRefused(
    Buffer.concat([latin1('\xff\xd8'), Buffer.alloc(10_000_000, latin1('\xff\xe0\0\0'))]),
    'UNDECODABLE_IMAGE'
  )
  await assertRefused(Buffer.concat([latin1('\xff\xd8'), Buffer.alloc(10_000_000, 0xff)]), 'UNDECODABLE_IMAGE')
})

test('what JSON can hold', async () => {
  const base64 = gif(1, 1).toString('base64')
  for (const image of [
    base64,
    gif(1, 1).toString('base64url'),
    `${base64}\n`,
    `data:image/png;base64,${base64}`,
    `data:;charset=x;base64,${base64}`
  ]) {
    assert.equal(await typeOf({ image }), 'gif')
  }
  for (const image of [5, null, [], {}, 'a,b', 'data:image/gif,GIF89a', '====', 'ü'])
    await assertRefused({ image }, 'MALFORMED_REQUEST', JSON.stringify(image))
  for (const body of [null, {}, [], 'text', 5, true, { image: '' }, { image: 'data:;base64,' }])
    await assertRefused(body, 'NO_IMAGE', JSON.stringify(body))
})

test('an image may have as many bytes and pixels as allowed, and not one more', async () => {
  const image = gif(1_000, 1_000)
  assert.equal(await typeOf(image, { maxBytes: image.length, maxPixels: 1_000_000 }), 'gif')
  await assertRefused(gif(1_001, 1_000), 'TOO_MANY_PIXELS')
  await assert.rejects(typeOf(image, { maxBytes: image.length - 1, maxPixels: 1_000_000 }), {
    code: 'IMAGE_TOO_LARGE',
    message: `The image has more than ${image.length - 1} bytes`
  })
})

/** A GIF of one frame as large as its canvas. */
function gif(width: number, height: number): Buffer {
  const bytes = Buffer.from('47494638396100000000800000ffffff0000002c0000000000000000000002024401003b', 'hex')
  for (const at of [6, 24]) bytes.writeUInt16LE(width, at)
  for (const at of [8, 26]) bytes.writeUInt16LE(height, at)
  return bytes
}

async function typeOf(body: unknown, { maxBytes, maxPixels } = limits): Promise<ImageFormat> {
  const sent = Buffer.isBuffer(body)
    ? { chunks: [body], contentType: 'image/jpeg' }
    : { chunks: [Buffer.from(JSON.stringify(body))], contentType: 'application/json' }
  const parts = () => assert.fail('this is no form')
  return (await readUpload({ ...sent, parts }, { maxBytes, maxPixels })).format
}

async function assertRefused(body: unknown, code: ErrorCode, what = ''): Promise<void> {
  await assert.rejects(typeOf(body), (error: unknown) => {
    assert.ok(error instanceof ApiError, `${what}: ${String(error)}`)
    assert.equal(error.code, code, what)
    return true
  })
}

async function assertTooManyPixels(body: Buffer, size: string, what = ''): Promise<void> {
  await assert.rejects(
    typeOf(body),
    { code: 'TOO_MANY_PIXELS', message: `The image has ${size} pixels, more than 1000000` },
    what
  )
}

function latin1(text: string): Buffer {
  return Buffer.from(text, 'latin1')
}

function segment(marker: number, content: Buffer): Buffer {
  const head = Buffer.from([0xff, marker, 0, 0])
  head.writeUInt16BE(content.length + 2, 2)
  return Buffer.concat([head, content])
}

function jpegFrame(marker: number, width: number, height: number): Buffer {
  const content = Buffer.from([8, 0, 0, 0, 0, 1, 1, 0x11, 0])
  content.writeUInt16BE(height, 1)
  content.writeUInt16BE(width, 3)
  return segment(marker, content)
}

function box(type: string, contents: Buffer[]): Buffer {
  const head = Buffer.alloc(8)
  head.writeUInt32BE(contents.reduce((sum, { length }) => sum + length, 8))
  head.write(type, 4)
  return Buffer.concat([head, ...contents])
}

function ftyp(major: string, ...compatible: string[]): Buffer {
  return box('ftyp', [Buffer.from(major), Buffer.alloc(4), ...compatible.map(brand => Buffer.from(brand))])
}

interface Heif {
  size: readonly [width: number, height: number]
  /** How many tiles the picture is a grid of, each of this size; without any it is coded as a whole. */
  tiles?: readonly [count: number, width: number, height: number]
  brands?: Buffer
}

/** The boxes of an AVIF or HEIC that say what its primary picture is made of. */
function heif({ size, tiles, brands = ftyp('avif', 'mif1') }: Heif): Buffer {
  const [count, ...tileSize] = tiles ?? [0, 0, 0]
  const items = [1, ...Array.from({ length: count }, (_, i) => i + 2)]
  const types = items.map(item =>
    box('infe', [Buffer.of(2, 0, 0, 0), short(item), short(0), Buffer.from(item === 1 && count > 0 ? 'grid' : 'av01')])
  )
  const owners = items.map(item => Buffer.concat([short(item), Buffer.of(1, item === 1 ? 1 : 2)]))
  const grid = box('dimg', [short(1), short(count), ...items.slice(1).map(short)])
  return Buffer.concat([
    brands,
    box('meta', [
      Buffer.alloc(4),
      box('pitm', [Buffer.alloc(4), short(1)]),
      box('iinf', [Buffer.alloc(4), short(items.length), ...types]),
      box('iprp', [
        box('ipco', [extents(...size), extents(...(tileSize as [number, number]))]),
        box('ipma', [Buffer.alloc(4), long(items.length), ...owners])
      ]),
      ...(count > 0 ? [box('iref', [Buffer.alloc(4), grid])] : [])
    ])
  ])
}

function extents(width: number, height: number): Buffer {
  return box('ispe', [Buffer.alloc(4), long(width), long(height)])
}

function short(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(value)
  return bytes
}

function long(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

import assert from 'node:assert/strict'
import { test } from 'node:test'
import sharp from 'sharp'
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

test('an AVIF is measured, a film by its first picture', async () => {
  const avif = (width: number, height: number) =>
    sharp({ create: { width, height, channels: 3, background: 'red' } })
      .avif({ effort: 0 })
      .toBuffer()
  await assertTooManyPixels(await avif(1_200, 900), '1200 × 900')
  const image = await avif(1_000, 1_000)
  assert.equal(await typeOf(image), 'avif')
  image.write('avis', 8)
  assert.equal(await typeOf(image), 'avif')
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

// The gateway serves everybody else on the thread that reads this. test/bombs.test.ts has picture files of many parts.
test('a file that was made to be slow to measure is not', async () => {
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

/** The frame header and that of its scan. */
function jpegFrame(marker: number, width: number, height: number): Buffer {
  const content = Buffer.from([8, 0, 0, 0, 0, 1, 1, 0x11, 0])
  content.writeUInt16BE(height, 1)
  content.writeUInt16BE(width, 3)
  return Buffer.concat([segment(marker, content), segment(0xda, Buffer.from([1, 1, 0, 0, 63, 0]))])
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

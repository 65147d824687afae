import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crc32 } from 'node:zlib'
import sharp from 'sharp'
import { firstFrame, measure, sniff } from '../src/index.ts'

const [red, blue] = ['#c83c28', '#3246b4']

/** Two frames of 32 × 32, red and blue. */
function film() {
  const frame = (colour: string) =>
    sharp({ create: { width: 32, height: 32, channels: 3, background: colour } })
      .raw()
      .toBuffer()
  return Promise.all([frame(red), frame(blue)]).then(frames =>
    sharp(Buffer.concat(frames), { raw: { width: 32, height: 64, channels: 3, pageHeight: 32 } })
  )
}

/** Mean of each channel as it stands in the file. */
async function meanOf(bytes: Buffer): Promise<number[]> {
  const { channels } = await sharp(bytes).stats()
  return channels.slice(0, 3).map(({ mean }) => Math.round(mean))
}

test('A4: of an animation the first frame is cut out, whatever follows it', async () => {
  for (const encode of ['gif', 'webp'] as const) {
    const encoded = (await film())[encode](encode === 'webp' ? { lossless: true } : {})
    const bytes = await encoded.toBuffer()
    assert.equal((await sharp(bytes).metadata()).pages, 2, encode)
    const alone = firstFrame(bytes, encode)
    assert.equal((await sharp(alone.bytes).metadata()).pages ?? 1, 1, encode)
    assert.deepEqual(await meanOf(alone.bytes), [200, 60, 40], encode)
  }
})

test('A4: a hundred thousand frames cost no more than one', async () => {
  const bytes = await (await film()).webp({ lossless: true }).toBuffer()
  const frames = bytes.indexOf('ANMF')
  const more = Buffer.concat([bytes, ...Array.from({ length: 100_000 }, () => bytes.subarray(frames, frames + 60))])
  assert.ok(firstFrame(more, 'webp').bytes.length < 500)
})

test('a picture that does not move stays as it is', async () => {
  const picture = () => sharp({ create: { width: 8, height: 8, channels: 3, background: red } })
  for (const encode of ['jpeg', 'webp', 'tiff', 'avif'] as const) {
    const bytes = await picture()[encode]().toBuffer()
    assert.equal(sniff(bytes), encode)
    assert.equal(firstFrame(bytes, encode).bytes, bytes, encode)
  }
})

test('C4: a first GIF frame that is smaller than its canvas says where it lies', async () => {
  const gif = await sharp({ create: { width: 8, height: 8, channels: 3, background: red } })
    .gif()
    .toBuffer()
  const at = gif.indexOf(Buffer.from([0x2c, 0, 0, 0, 0, 8, 0, 8, 0]))
  gif.writeUInt16LE(20, 6)
  gif.writeUInt16LE(16, 8)
  gif.writeUInt16LE(5, at + 1)
  gif.writeUInt16LE(4, at + 3)
  const { bytes, placement } = firstFrame(gif, 'gif')
  assert.deepEqual(placement, { canvas: { width: 20, height: 16 }, left: 5, top: 4 })
  const { width, height } = await sharp(bytes).metadata()
  assert.deepEqual({ width, height }, { width: 8, height: 8 })
})

test('a GIF whose frame sticks out is as large as both', () => {
  const gif = Buffer.from('47494638396100000000800000ffffff0000002c0000000000000000000002024401003b', 'hex')
  gif.writeUInt16LE(32, 6)
  gif.writeUInt16LE(32, 8)
  gif.writeUInt16LE(65_280, 22)
  for (const at of [24, 26]) gif.writeUInt16LE(65_535, at)
  const { width, height } = measure(gif, 'gif')
  assert.deepEqual({ width, height }, { width: 65_535, height: 130_815 })
})

test('text and frames of a PNG are left out, colours are not', async () => {
  const png = await sharp({ create: { width: 8, height: 8, channels: 3, background: red } })
    .withIccProfile('p3')
    .png()
    .toBuffer()
  const chunk = (type: string, content: Buffer) => {
    const body = Buffer.concat([Buffer.from(type), content])
    const [length, checksum] = [Buffer.alloc(4), Buffer.alloc(4)]
    length.writeUInt32BE(content.length)
    checksum.writeUInt32BE(crc32(body))
    return Buffer.concat([length, body, checksum])
  }
  const noise = ['zTXt', 'acTL', 'fcTL', 'fdAT'].map(type => chunk(type, Buffer.alloc(1_000)))
  const { bytes } = firstFrame(Buffer.concat([png.subarray(0, 33), ...noise, png.subarray(33)]), 'png')
  for (const type of ['zTXt', 'acTL', 'fcTL', 'fdAT']) assert.ok(!bytes.includes(type), type)
  assert.ok(bytes.includes('iCCP'))
  assert.deepEqual(await meanOf(bytes), await meanOf(png))
})

test('a TIFF loses its other pages, and one that leads in a circle is read', async () => {
  const tiff = await sharp({ create: { width: 8, height: 8, channels: 3, background: red } })
    .tiff()
    .toBuffer()
  const directory = tiff.readUInt32LE(4)
  const next = directory + 2 + 12 * tiff.readUInt16LE(directory)
  tiff.writeUInt32LE(directory, next)
  const { bytes } = firstFrame(tiff, 'tiff')
  assert.equal(bytes.readUInt32LE(next), 0)
  assert.equal(tiff.readUInt32LE(next), directory, 'the upload itself stays as it is')
})

test('A9: walks are bounded in steps', () => {
  const box = (type: string) => Buffer.from(`\0\0\0\x08${type}`, 'latin1')
  const boxes = Buffer.concat([
    Buffer.from('\0\0\0\x10ftypavif\0\0\0\0', 'latin1'),
    Buffer.alloc(8 * 1_200_000, box('free'))
  ])
  const segments = Buffer.concat([Buffer.from([0xff, 0xd8]), Buffer.alloc(9_900_000, Buffer.from([0xff, 0xe0, 0, 2]))])
  const filling = Buffer.alloc(9_900_000, 0xff).fill(0xd8, 1, 2)
  assert.throws(() => measure(boxes, 'avif'), /more than \d+ parts/)
  assert.throws(() => measure(segments, 'jpeg'), /more than \d+ parts/)
  assert.throws(() => measure(filling, 'jpeg'), { code: 'FORMAT' })
})

test('the scans of a progressive JPEG count as pixels, and are bounded', async () => {
  const jpeg = await sharp({ create: { width: 64, height: 64, channels: 3, background: red } })
    .jpeg({ progressive: true })
    .toBuffer()
  assert.equal(measure(jpeg, 'jpeg').decodedPixels, 64 * 64)
  const last = jpeg.lastIndexOf(Buffer.from([0xff, 0xda]))
  const scans = (count: number) =>
    Buffer.concat([
      jpeg.subarray(0, -2),
      ...Array.from({ length: count }, () => jpeg.subarray(last, -2)),
      jpeg.subarray(-2)
    ])
  assert.ok(measure(scans(60), 'jpeg').decodedPixels > 5 * 64 * 64)
  assert.throws(() => measure(scans(200), 'jpeg'), /more than 100 scans/)
})

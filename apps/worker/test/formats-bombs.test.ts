import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deflateSync } from 'node:zlib'
import { decodeBmp } from '../src/pixels/bmp.ts'
import { withinMemory } from '../src/pixels/decode-memory.ts'
import type { ImageFormat } from '@streamsight/images'
import { bmpBomb, gifBomb, jpegBomb, pngBomb, tiffBomb } from './support/claims.ts'
import { assertFields, fields, fieldsInput, inFields } from './support/fields.ts'
import { decoderOf, draw, pngChunk } from './support/pictures.ts'

/** Bombs whose pixels are few: what is large is around them.  */
async function assertModest(what: string, work: () => Promise<void>): Promise<void> {
  const before = process.memoryUsage().rss
  await work()
  const mb = Math.round((process.memoryUsage().rss - before) / 1e6)
  assert.ok(mb < 120, `${what}: ${mb} MB were allocated`)
}

test('compressed text of 300 MB in a PNG is not unpacked', async () => {
  const png = await draw(inFields(fields)).png().toBuffer()
  const text = deflateSync(Buffer.alloc(300_000_000))
  for (const [type, head] of [
    ['zTXt', 'k\0\0'],
    ['iTXt', 'k\0\x01\0\0\0']
  ] as const) {
    const image = Buffer.concat([
      png.subarray(0, 33),
      pngChunk(type, Buffer.concat([Buffer.from(head, 'latin1'), text])),
      png.subarray(33)
    ])
    assert.ok(image.length < 400_000)
    await assertModest(type, () => assertFields({ image, type: 'png', what: type }))
  }
})

test('of a film of a hundred thousand frames only the first is decoded', async () => {
  const gif = await draw(inFields(fields)).gif().toBuffer()
  const frame = Buffer.from('2c0000000001000100000202440100', 'hex')
  const image = Buffer.concat([
    gif.subarray(0, -1),
    Buffer.concat(Array.from({ length: 100_000 }, () => frame)),
    Buffer.from([0x3b])
  ])
  await assertModest('GIF', () => assertFields({ image, type: 'gif', within: 6 }))
})

test('a JPEG of thousands of scans, each of which goes over all pixels, is refused after a hundred', async () => {
  const jpeg = await draw(inFields(fields)).jpeg({ progressive: true }).toBuffer()
  const last = jpeg.lastIndexOf(Buffer.from([0xff, 0xda]))
  const image = Buffer.concat([
    jpeg.subarray(0, -2),
    ...Array.from({ length: 3_000 }, () => jpeg.subarray(last, -2)),
    jpeg.subarray(-2)
  ])
  const decoder = await decoderOf(fieldsInput)
  await assert.rejects(decoder.decode(image, 'jpeg'), { code: 'UNDECODABLE_IMAGE' })
})

test('a BMP without its pixels is refused', () => {
  const head = Buffer.alloc(54)
  head.write('BM')
  for (const [at, value] of [
    [10, 54],
    [14, 40],
    [18, 5_000],
    [22, 5_000]
  ] as const)
    head.writeUInt32LE(value, at)
  head.writeUInt16LE(24, 28)
  assert.throws(() => decodeBmp(head), RangeError)
})

test('a picture of a few kilobytes that would be gigabytes is refused before anything is allocated', async t => {
  const bombs: Array<{ image: Buffer; type: ImageFormat }> = [
    { image: pngBomb(30_000), type: 'png' },
    { image: await jpegBomb(30_000), type: 'jpeg' },
    { image: await tiffBomb(30_000), type: 'tiff' },
    { image: gifBomb(30_000), type: 'gif' },
    { image: bmpBomb(30_000), type: 'bmp' }
  ]
  const decoder = await decoderOf(fieldsInput)
  for (const { image, type } of bombs) {
    await t.test(`${type} ${decoder.name}`, async () => {
      const before = process.memoryUsage().rss
      await assert.rejects(decoder.decode(image, type), { code: 'TOO_MANY_PIXELS' })
      assert.ok(image.length < 10_000)
      assert.ok(
        process.memoryUsage().rss - before < 100e6,
        `${Math.round((process.memoryUsage().rss - before) / 1e6)} MB were allocated`
      )
    })
  }
})

test('A4, A9: a small picture waits for no large ones, and these take turns', async () => {
  const running: string[] = []
  const finish: Array<() => void> = []
  const slow = {
    name: 'slow',
    close: async () => {},
    async decode(image: Buffer) {
      running.push(image.length > 1_000 ? 'large' : 'small')
      await new Promise<void>(resolve => finish.push(resolve))
      return new Uint8Array(0)
    }
  }
  const onWedged = (what: string) => assert.fail(what)
  const decoder = withinMemory(slow, { maxPixels: 50e6, maxBytes: 250e6, maxRunning: 4, maxLarge: 2, onWedged })
  const large = Buffer.concat([bmpBomb(2_500), Buffer.alloc(1_000)])
  const small = bmpBomb(32)
  const all = [large, large, large, small, large, small].map(image => decoder.decode(image, 'bmp'))
  await new Promise(resolve => setImmediate(resolve))
  const first = [...running]
  while (running.length < all.length || finish.length > 0) {
    finish.shift()?.()
    await new Promise(resolve => setImmediate(resolve))
  }
  await Promise.all(all)
  assert.deepEqual(first, ['large', 'large', 'small', 'small'])
  assert.deepEqual(running.slice(4), ['large', 'large'])
})

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import sharp from 'sharp'
import { assertFields, fields, fieldsInput, inFields } from './support/fields.ts'
import { stored } from './support/orientations.ts'
import { type Colour, decoderOf, draw, fixtures, inputOf, meanDifference, pngChunk } from './support/pictures.ts'

const jpegOf = (rows = inFields(fields)) => draw(rows).jpeg({ quality: 100, chromaSubsampling: '4:4:4' }).toBuffer()
const pngOf = (rows = inFields(fields)) => draw(rows).png().toBuffer()

/** The fields, coded by libjpeg-turbo's `cjpeg -arithmetic`, which sharp does not offer. */
const arithmetic = `/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAIBAQEBAQIBAQECAgICAgQDAgICAgUEBAMEBgUGBgYFBgYGBwkIBgcJBwYGCAsICQoKCgoKBggLDAsKDAkKCgr/2wBDAQICAgICAgUDAwUKBwYHCgoKCg
oKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgr/yQARCAAgACADAREAAhEBAxEB/8wACgAQEAUBEBEF/9oADAMBAAIRAxEAPwD/ANCM1ny/4/VBddbPlctyhhfmNDcS
VK0ivZ/8FVqbw7OCaxgyiV1A/9k=`

test('orientation is honoured in PNG and WebP', async () => {
  for (const { orientation, colours } of stored) {
    const picture = () => draw(inFields(colours)).withMetadata({ orientation })
    const png = await picture().png().toBuffer()
    assert.equal((await sharp(png).metadata()).orientation, orientation)
    await assertFields({ image: png, type: 'png', what: `PNG with orientation ${orientation}` })
    const exif = png.subarray(png.indexOf('eXIf') - 4)
    const chunk = exif.subarray(0, 12 + exif.readUInt32BE(0))
    const before = png.subarray(0, png.indexOf('eXIf') - 4)
    const after = exif.subarray(chunk.length, -12)
    await assertFields({
      image: Buffer.concat([before, after, chunk, png.subarray(-12)]),
      type: 'png',
      what: `C5: PNG with orientation ${orientation} behind its pixels`
    })
    await assertFields({
      image: await picture().webp({ lossless: true }).toBuffer(),
      type: 'webp',
      what: `WebP with orientation ${orientation}`
    })
  }
})

test('the first picture of a film is shown: APNG, GIF, WebP and a sequence of AVIF', async () => {
  const png = await pngOf()
  await assertFields({ image: animated(png), type: 'png', what: 'APNG' })
  const pixels = Buffer.from([fields, fields.toReversed()].flatMap(colours => inFields(colours).flat(2) as number[]))
  const film = () => sharp(pixels, { raw: { width: 32, height: 64, channels: 3, pageHeight: 32 } })
  await assertFields({ image: await film().gif().toBuffer(), type: 'gif', within: 6 })
  await assertFields({ image: await film().webp({ lossless: true }).toBuffer(), type: 'webp' })
  const avif = await draw(inFields(fields)).avif({ quality: 95, chromaSubsampling: '4:4:4' }).toBuffer()
  for (const brand of ['avis', 'mif1']) {
    const renamed = Buffer.from(avif)
    renamed.write(brand, 8, 'latin1')
    await assertFields({ image: renamed, type: 'avif', within: 6, what: brand })
    assert.equal(renamed.toString('latin1', 8, 12), brand, 'the upload itself stays as it is')
  }
})

test('C7: a HEIC is decoded where libheif-js is installed', async t => {
  const image = readFileSync(join(import.meta.dirname, 'support/ship.heic'))
  const decoder = await decoderOf(inputOf({ width: 4, height: 3, kernel: 'linear' }))
  t.after(() => decoder.close())
  // Coded from this fixture.
  const jpeg = fixtures.find(({ file }) => file === 'ship.jpg')?.image ?? Buffer.alloc(0)
  const difference = meanDifference(await decoder.decode(image, 'heic'), await decoder.decode(jpeg, 'jpeg'))
  assert.ok(difference <= 3, `a channel differs by ${difference.toFixed(1)}`)
  await assert.rejects(decoder.decode(image.subarray(0, 3_000), 'heic'), { code: 'UNDECODABLE_IMAGE' })
})

test('C4: what a GIF frame leaves free is white', async () => {
  const gif = await draw(inFields(fields)).gif().toBuffer()
  const at = gif.indexOf(Buffer.from([0x2c, 0, 0, 0, 0, 32, 0, 32, 0]))
  for (const offset of [6, 8]) gif.writeUInt16LE(64, offset)
  for (const offset of [at + 1, at + 3]) gif.writeUInt16LE(32, offset)
  const white: Colour = [255, 255, 255]
  await assertFields({ image: gif, type: 'gif', colours: [white, white, white, fields[3] ?? white], within: 6 })
})

test('a JPEG of a kind that nobody reads is named', async t => {
  const decoder = await decoderOf(fieldsInput)
  t.after(() => decoder.close())
  const kinds: Array<[marker: number, precision: number, message: RegExp]> = [
    [0xc1, 12, /^This JPEG has 12 bits a channel, of which only 8 are supported$/],
    [0xc3, 8, /^This is a lossless JPEG, which is not supported/],
    [0xc3, 16, /^This is a lossless JPEG, which is not supported/],
    [0xc5, 8, /^This is a hierarchical JPEG, which is not supported/]
  ]
  for (const [marker, precision, message] of kinds) {
    const image = withFrame(await jpegOf(), marker, precision)
    await assert.rejects(decoder.decode(image, 'jpeg'), { code: 'UNDECODABLE_IMAGE', message })
  }
})

test('an arithmetic-coded JPEG is read', async () => {
  await assertFields({ image: Buffer.from(arithmetic, 'base64'), type: 'jpeg', within: 4 })
})

test('broken metadata loses no picture', async () => {
  const jpeg = await jpegOf()
  const inJpeg = (marker: number, content: string) =>
    Buffer.concat([
      jpeg.subarray(0, 2),
      Buffer.from([0xff, marker, 0, content.length + 2]),
      Buffer.from(content, 'latin1'),
      jpeg.subarray(2)
    ])
  const broken = {
    'EXIF of nothing': inJpeg(0xe1, 'Exif\0\0'),
    'EXIF of zeros': inJpeg(0xe1, `Exif\0\0II*\0${'\xff'.repeat(40)}`),
    'an ICC segment cut short': inJpeg(0xe2, 'ICC_PROFILE\0'),
    'an Adobe segment of nothing': inJpeg(0xee, 'Adobe'),
    'a comment': inJpeg(0xfe, 'hello')
  }
  for (const [what, image] of Object.entries(broken)) await assertFields({ image, type: 'jpeg', what })
  const png = await pngOf()
  await assertFields({
    image: Buffer.concat([
      png.subarray(0, 33),
      pngChunk('eXIf', Buffer.from('II*\0')),
      pngChunk('iCCP', Buffer.from('x')),
      png.subarray(33)
    ]),
    type: 'png'
  })
})

/** The JPEG with another frame marker and other bits a channel. */
function withFrame(jpeg: Buffer, marker: number, precision: number): Buffer {
  const copy = Buffer.from(jpeg)
  const at = copy.indexOf(Buffer.from([0xff, 0xc0]))
  copy[at + 1] = marker
  copy[at + 4] = precision
  return copy
}

/** The PNG as the first of two frames; of the second there is nothing but its control chunk. */
function animated(png: Buffer): Buffer {
  const [control, frame] = [Buffer.alloc(8), Buffer.alloc(26)]
  control.writeUInt32BE(2, 0)
  frame.writeUInt32BE(32, 4)
  frame.writeUInt32BE(32, 8)
  const end = png.length - 12
  return Buffer.concat([
    png.subarray(0, 33),
    pngChunk('acTL', control),
    pngChunk('fcTL', frame),
    png.subarray(33, end),
    pngChunk('fcTL', Buffer.concat([Buffer.from([0, 0, 0, 1]), frame.subarray(4)])),
    png.subarray(end)
  ])
}

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import sharp from 'sharp'
import { assertFields, fields, fieldsInput, inFields } from './support/fields.ts'
import {
  assets,
  decoderOf,
  draw,
  expected,
  fixtures,
  grid,
  inputOf,
  meanDifference,
  pictures,
  without,
  type Colour
} from './support/pictures.ts'

const jpeg = { quality: 100, chromaSubsampling: '4:4:4' }

test('JPEG, progressive JPEG, PNG, interlaced PNG, GIF and TIFF show the same colours', async () => {
  const picture = () => draw(inFields(fields))
  await assertFields({ image: await picture().jpeg(jpeg).toBuffer(), type: 'jpeg' })
  await assertFields({
    image: await picture()
      .jpeg({ ...jpeg, progressive: true })
      .toBuffer(),
    type: 'jpeg'
  })
  await assertFields({ image: await picture().png().toBuffer(), type: 'png' })
  await assertFields({ image: await picture().png({ progressive: true }).toBuffer(), type: 'png' })
  await assertFields({ image: await picture().gif().toBuffer(), type: 'gif', within: 6 })
  await assertFields({ image: await picture().tiff({ compression: 'lzw' }).toBuffer(), type: 'tiff' })
})

test('JPEG with a quarter of the colour resolution shows the same colours', async () => {
  await assertFields({
    image: await draw(inFields(fields)).jpeg({ quality: 100, chromaSubsampling: '4:2:0' }).toBuffer(),
    type: 'jpeg'
  })
})

test('a palette PNG shows its colours, transparent ones as white', async () => {
  await assertFields({ image: await draw(inFields(fields)).png({ palette: true }).toBuffer(), type: 'png' })
  const translucent: Colour[] = [
    [200, 60, 40, 255],
    [60, 160, 80, 0],
    [50, 70, 180, 255],
    [0, 0, 0, 0]
  ]
  const image = await draw(inFields(translucent)).png({ palette: true }).toBuffer()
  await assertFields({
    image,
    type: 'png',
    colours: [
      [200, 60, 40],
      [255, 255, 255],
      [50, 70, 180],
      [255, 255, 255]
    ]
  })
})

test('grey pictures become RGB', async () => {
  const greys: Colour[] = [
    [10, 10, 10],
    [90, 90, 90],
    [170, 170, 170],
    [250, 250, 250]
  ]
  const picture = () => draw(inFields(greys)).toColourspace('b-w')
  const png = await picture().png().toBuffer()
  assert.equal((await sharp(png).metadata()).channels, 1)
  await assertFields({ image: png, type: 'png', colours: greys })
  await assertFields({ image: await picture().jpeg(jpeg).toBuffer(), type: 'jpeg', colours: greys })
})

test('grey with transparency becomes RGB on white', async () => {
  const bytes = inFields([
    [10, 0, 0, 255],
    [90, 0, 0, 0],
    [170, 0, 0, 51],
    [250, 0, 0, 102]
  ])
    .flat()
    .flatMap(([grey, , , alpha = 0]) => [grey, alpha])
  const png = await sharp(Buffer.from(bytes), { raw: { width: 32, height: 32, channels: 2 } })
    .toColourspace('b-w')
    .png()
    .toBuffer()
  assert.equal((await sharp(png).metadata()).channels, 2)
  // 170/5 + 255·4/5 = 238 and 250·2/5 + 255·3/5 = 253.
  await assertFields({
    image: png,
    type: 'png',
    colours: [
      [10, 10, 10],
      [255, 255, 255],
      [238, 238, 238],
      [253, 253, 253]
    ]
  })
})

test('16 bits a channel become 8, in colour and grey', async () => {
  const wide = Uint16Array.from(
    inFields(fields)
      .flat()
      .flatMap(colour => Array.from(colour, value => (value ?? 0) * 257))
  )
  const png = await sharp(wide, { raw: { width: 32, height: 32, channels: 3 } })
    .toColourspace('rgb16')
    .png()
    .toBuffer()
  assert.equal((await sharp(png).metadata()).depth, 'ushort')
  await assertFields({ image: png, type: 'png' })

  const greys = Uint16Array.from(
    inFields(fields)
      .flat()
      .map(([red]) => red * 257)
  )
  const greyPng = await sharp(greys, { raw: { width: 32, height: 32, channels: 1 } })
    .toColourspace('grey16')
    .png()
    .toBuffer()
  assert.deepEqual(
    await sharp(greyPng)
      .metadata()
      .then(({ depth, channels }) => ({ depth, channels })),
    { depth: 'ushort', channels: 1 }
  )
  await assertFields({ image: greyPng, type: 'png', colours: fields.map(([red]): Colour => [red, red, red]) })
})

test('a CMYK JPEG has its colours', async () => {
  const muted: Colour[] = [
    [190, 110, 100],
    [110, 150, 110],
    [100, 110, 150],
    [220, 210, 160]
  ]
  const image = await draw(inFields(muted)).toColourspace('cmyk').jpeg(jpeg).toBuffer()
  assert.equal((await sharp(image).metadata()).space, 'cmyk')
  // Through a colour profile, as the picture went on its way into CMYK.
  await assertFields({ image, type: 'jpeg', colours: muted, within: 10 })
})

/** A picture that no turn or mirror image of itself resembles, smooth so that JPEG's blocks leave no traces. */
const upright = grid(128, 96, (x, y): Colour => [40 + x, 40 + 2 * y, x < 64 && y < 48 ? 220 : 60])

/** How a camera stores `upright` for each EXIF orientation: which pixel of it lies in column x of row y. */
const stored: Record<number, (x: number, y: number) => Colour | undefined> = {
  1: (x, y) => upright[y]?.[x],
  2: (x, y) => upright[y]?.[127 - x],
  3: (x, y) => upright[95 - y]?.[127 - x],
  4: (x, y) => upright[95 - y]?.[x],
  5: (x, y) => upright[x]?.[y],
  6: (x, y) => upright[x]?.[127 - y],
  7: (x, y) => upright[95 - x]?.[127 - y],
  8: (x, y) => upright[95 - x]?.[y]
}

test('all eight EXIF orientations are turned upright to the same pixels', async () => {
  const input = inputOf({ width: 32, height: 24 })
  const decoder = await decoderOf(input)
  const plain = await draw(upright).png().toBuffer()
  const wanted = await decoder.decode(plain, 'png')
  for (const [orientation, pixel] of Object.entries(stored)) {
    const [columns, rows] = Number(orientation) < 5 ? ([128, 96] as const) : ([96, 128] as const)
    const camera = draw(grid(columns, rows, (x, y) => pixel(x, y) ?? [0, 0, 0]))
    const image = await camera
      .withMetadata({ orientation: Number(orientation) })
      .jpeg(jpeg)
      .toBuffer()
    assert.equal((await sharp(image).metadata()).orientation, Number(orientation))
    const difference = meanDifference(await decoder.decode(image, 'jpeg'), wanted)
    assert.ok(difference <= 1, `orientation ${orientation} differs by ${difference.toFixed(2)}`)
  }
})

test('an orientation that EXIF does not know is none', async () => {
  const image = await draw(inFields(fields)).withMetadata({ orientation: 1 }).jpeg(jpeg).toBuffer()
  const tag = image.indexOf(Buffer.from([0x12, 0x01, 0x03, 0x00, 0x01, 0x00, 0x00, 0x00, 0x01]))
  const bigEndianTag = image.indexOf(Buffer.from([0x01, 0x12, 0x00, 0x03, 0x00, 0x00, 0x00, 0x01, 0x00, 0x01]))
  assert.ok(tag > 0 || bigEndianTag > 0, 'the orientation tag')
  image[tag > 0 ? tag + 8 : bigEndianTag + 9] = 9
  await assertFields({ image, type: 'jpeg' })
})

test('a picture of exactly the pixels that are allowed passes, and of one more does not', async () => {
  const image = await draw(inFields(fields)).png().toBuffer()
  const [just, less] = [await decoderOf(fieldsInput, 32 * 32), await decoderOf(fieldsInput, 32 * 32 - 1)]
  assert.equal((await just.decode(image, 'png')).length, 12)
  await assert.rejects(less.decode(image, 'png'), { code: 'TOO_MANY_PIXELS' })
})

test('a large honest JPEG is not called corrupt for the memory it takes', async () => {
  // 25 megapixels in full colour: a little more than jpeg-js allows itself by default.
  const image = await sharp({ create: { width: 5_000, height: 5_000, channels: 3, background: '#804020' } })
    .jpeg({ chromaSubsampling: '4:4:4' })
    .toBuffer()
  const decoder = await decoderOf(fieldsInput)
  const rgb = await decoder.decode(image, 'jpeg')
  assert.ok(
    rgb.every((value, i) => Math.abs(value - ([0x80, 0x40, 0x20][i % 3] ?? NaN)) <= 2),
    `${rgb.join()}`
  )
})

test('a JPEG of all the pixels that are allowed may take the memory it needs, in every way it can be stored', async () => {
  const picture = draw(grid(300, 200, (x, y) => [x % 256, y, (x * y) % 256]))
  for (const options of [
    {},
    { progressive: true },
    { chromaSubsampling: '4:4:4' },
    { chromaSubsampling: '4:4:4', progressive: true }
  ]) {
    const image = await picture
      .clone()
      .jpeg({ quality: 95, ...options })
      .toBuffer()
    const decoder = await decoderOf(fieldsInput, 300 * 200)
    assert.equal((await decoder.decode(image, 'jpeg')).length, 12)
  }
})

test('half of a picture is undecodable', async () => {
  const decoder = await decoderOf(fieldsInput)
  for (const { file, type, image } of fixtures) {
    await assert.rejects(
      decoder.decode(image.subarray(0, image.length / 2), type),
      { name: 'Error', code: 'UNDECODABLE_IMAGE' },
      `${file}`
    )
  }
})

test('nothing, a single byte and zeros are undecodable', async () => {
  const decoder = await decoderOf(fieldsInput)
  for (const image of [Buffer.alloc(0), Buffer.alloc(1), Buffer.alloc(500)]) {
    for (const type of ['jpeg', 'png', 'gif', 'tiff'] as const)
      await assert.rejects(decoder.decode(image, type), { code: 'UNDECODABLE_IMAGE' }, `${type}`)
  }
})

test('the fixtures are decoded; a slice of a larger buffer stays whole', async t => {
  const decoder = await decoderOf(inputOf({ width: 32 }))
  t.after(() => decoder.close())
  assert.match(decoder.name, /^libvips\+jimp/)
  for (const { file, type, image } of fixtures) {
    // As Redis replies give it: only the slice may reach the decoder.
    const slice = Buffer.concat([Buffer.alloc(100, 1), image, Buffer.alloc(100, 2)]).subarray(100, 100 + image.length)
    assert.equal((await decoder.decode(slice, type)).length, 32 * 32 * 3, file)
    assert.deepEqual(slice, image)
  }
  assert.deepEqual(fixtures.map(({ file }) => file).toSorted(), Object.keys(expected).toSorted())
})

test('every odd image is pixels or an error for the client', { skip: without('odd-images') }, async t => {
  const decoder = await decoderOf(inputOf({ width: 64 }))
  t.after(() => decoder.close())
  for (const { file, type, image } of pictures(join(assets, 'odd-images'))) {
    try {
      assert.equal((await decoder.decode(image, type)).length, 64 * 64 * 3, file)
    } catch (error) {
      const code = String((error as { code?: unknown }).code)
      assert.match(code, /^(UNDECODABLE_IMAGE|UNSUPPORTED_IMAGE|TOO_MANY_PIXELS)$/, `${file}: ${String(error)}`)
    }
  }
})

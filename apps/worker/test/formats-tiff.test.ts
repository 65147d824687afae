import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deflateSync } from 'node:zlib'
import sharp, { type Sharp } from 'sharp'
import { firstFrame, measure } from '@streamsight/images'
import { assertFields, fields, fieldsInput, inFields } from './support/fields.ts'
import { stored } from './support/orientations.ts'
import { decoderOf, draw, type Colour } from './support/pictures.ts'
import { tiff, type Kind } from './support/tiff.ts'

const greys: Colour[] = [
  [0, 0, 0],
  [85, 85, 85],
  [170, 170, 170],
  [255, 255, 255]
]

for (const compression of ['none', 'lzw', 'deflate', 'packbits', 'jpeg'] as const) {
  test(`TIFF with compression ${compression}, in strips and in tiles`, async () => {
    for (const options of [
      {},
      { tile: true, tileWidth: 16, tileHeight: 16 },
      { predictor: 'horizontal' as const },
      { predictor: 'none' as const }
    ]) {
      const picture = draw(inFields(fields)).tiff({ compression, quality: 100, ...options })
      await assertFields({
        image: await picture.toBuffer(),
        type: 'tiff',
        within: compression === 'jpeg' ? 6 : 2,
        what: `${compression} ${JSON.stringify(options)}`
      })
    }
  })
}

test('16 bits a channel, with differences and without, of either byte order', async () => {
  const wide = Uint16Array.from(
    inFields(fields)
      .flat()
      .flatMap(colour => Array.from(colour, value => (value ?? 0) * 257))
  )
  const deep = () => sharp(wide, { raw: { width: 32, height: 32, channels: 3 } }).toColourspace('rgb16')
  for (const predictor of ['none', 'horizontal'] as const) {
    const image = await deep().tiff({ compression: 'lzw', predictor }).toBuffer()
    assert.equal((await sharp(image).metadata()).depth, 'ushort')
    await assertFields({ image, type: 'tiff', what: predictor })
  }
  const bigEndian = (pixels: Uint16Array) =>
    Buffer.from(Uint16Array.from(pixels, (value: number) => (value << 8) | (value >> 8)).buffer)
  await assertFields({ image: tiff({ bits: 16, little: false }, [bigEndian(wide)]), type: 'tiff', what: 'big-endian' })
})

test('grey of 1, 2, 4 and 8 bits, from black and from white', async () => {
  const picture = (): Sharp => draw(inFields(greys)).toColourspace('b-w')
  for (const bitdepth of [2, 4, undefined] as const) {
    for (const miniswhite of [false, true]) {
      const image = await picture()
        .tiff({ ...(bitdepth && { bitdepth }), miniswhite, compression: 'deflate', predictor: 'none' })
        .toBuffer()
      await assertFields({
        image,
        type: 'tiff',
        colours: greys,
        what: `${bitdepth ?? 8} bits, ${miniswhite ? 'from white' : 'from black'}`
      })
    }
  }
  const [black, white]: Colour[] = [
    [0, 0, 0],
    [255, 255, 255]
  ]
  const colours = [black, white, white, black] as Colour[]
  for (const compression of ['none', 'ccittfax4', 'lzw'] as const) {
    const image = await draw(inFields(colours))
      .toColourspace('b-w')
      .tiff({ bitdepth: 1, compression, predictor: 'none' })
      .toBuffer()
    await assertFields({ image, type: 'tiff', colours, what: compression })
  }
})

test('transparency is white, whether colours were multiplied by it or not', async () => {
  const clear: Colour[] = [
    [200, 60, 40, 255],
    [60, 160, 80, 0],
    [50, 70, 180, 255],
    [0, 0, 0, 0]
  ]
  const colours: Colour[] = [
    [200, 60, 40],
    [255, 255, 255],
    [50, 70, 180],
    [255, 255, 255]
  ]
  await assertFields({
    image: await draw(inFields(clear)).tiff({ compression: 'lzw' }).toBuffer(),
    type: 'tiff',
    colours
  })
  // 100 of 255 was multiplied by 51/255: it stands for 20, and on white 20 + 204 is shown.
  const multiplied = Buffer.from(
    inFields([
      [20, 20, 20, 51],
      [20, 20, 20, 51],
      [20, 20, 20, 51],
      [20, 20, 20, 51]
    ]).flat(2) as number[]
  )
  await assertFields({
    image: tiff({ samples: 4, extra: 1 }, [multiplied]),
    type: 'tiff',
    colours: Array.from({ length: 4 }, (): Colour => [224, 224, 224])
  })
  const planes = [0, 1, 2, 3].map(channel => multiplied.filter((_, i) => i % 4 === channel)).map(Buffer.from)
  await assertFields({
    image: tiff({ samples: 4, extra: 1, planar: true, tile: 32 }, planes),
    type: 'tiff',
    colours: Array.from({ length: 4 }, (): Colour => [224, 224, 224]),
    what: 'in planes'
  })
})

const jpegQuality = { quality: 100 }

const plane = (channel: number) =>
  Buffer.from(
    inFields(fields)
      .flat()
      .map(colour => colour[channel] ?? 0)
  )

test('C1: colours one after another, in strips and in tiles, also many at a time', async t => {
  await assertFields({ image: tiff({ planar: true }, [0, 1, 2].map(plane)), type: 'tiff' })
  const tiles = tiff(
    { planar: true, tile: 32, compression: 8 },
    [0, 1, 2].map(channel => deflateSync(plane(channel)))
  )
  await assertFields({ image: tiles, type: 'tiff' })
  const decoder = await decoderOf(fieldsInput)
  t.after(() => decoder.close())
  // Broken ones beside them: libvips' threads share one error message, which may not decide about a neighbour.
  const broken = (await draw(inFields(fields)).jpeg(jpegQuality).toBuffer()).subarray(0, -100)
  const answers = await Promise.allSettled(
    Array.from({ length: 240 }, (_, i) =>
      i % 2 === 0 ? decoder.decode(tiles, 'tiff') : decoder.decode(broken, 'jpeg')
    )
  )
  for (const [i, answer] of answers.entries()) assert.equal(answer.status, i % 2 === 0 ? 'fulfilled' : 'rejected')
})

test('C2: Y, Cb and Cr become red, green and blue', async () => {
  const ycbcr = fields.map(([red, green, blue]): Colour => [
    Math.round(0.299 * red + 0.587 * green + 0.114 * blue),
    Math.round(128 - 0.168736 * red - 0.331264 * green + 0.5 * blue),
    Math.round(128 + 0.5 * red - 0.418688 * green - 0.081312 * blue)
  ])
  const image = tiff({ photometric: 6, subsampling: 1 }, [Buffer.from(inFields(ycbcr).flat(2) as number[])])
  await assertFields({ image, type: 'tiff', within: 2 })
})

test('all eight orientations are turned upright', async () => {
  for (const { orientation, colours } of stored) {
    const pixels = Buffer.from(inFields(colours).flat(2) as number[])
    await assertFields({
      image: tiff({ orientation }, [pixels]),
      type: 'tiff',
      what: `orientation ${orientation}`
    })
  }
})

test('a page that says it is its own next one is read once', async () => {
  const fax = await draw(
    inFields([
      [0, 0, 0],
      [255, 255, 255],
      [255, 255, 255],
      [0, 0, 0]
    ])
  )
    .toColourspace('b-w')
    .tiff({ bitdepth: 1, compression: 'ccittfax4' })
    .toBuffer()
  const directory = fax.readUInt32LE(4)
  fax.writeUInt32LE(directory, directory + 2 + 12 * fax.readUInt16LE(directory))
  await assertFields({
    image: fax,
    type: 'tiff',
    colours: [
      [0, 0, 0],
      [255, 255, 255],
      [255, 255, 255],
      [0, 0, 0]
    ]
  })
})

test('C3, C6: a kind that nobody here reads is named, and not shown black or white', async t => {
  const decoder = await decoderOf(fieldsInput)
  t.after(() => decoder.close())
  const kinds: Array<[Kind, RegExp]> = [
    [{ compression: 6 }, /compression 6/],
    // libvips makes black tiles of it.
    [{ compression: 50_000, tile: 32 }, /compression 50000/],
    [{ compression: 50_001 }, /compression 50001/],
    [{ photometric: 8 }, /colours of kind 8/],
    [{ sampleFormat: 2 }, /signed samples/],
    [{ sampleFormat: 3, bits: 32 }, /floating-point/],
    [{ bits: 32 }, /32 bits a sample/],
    [{ photometric: 6, subsampling: 2 }, /YCbCr colours of reduced resolution/],
    [{ samples: 5 }, /5 samples a pixel where RGB has 3/]
  ]
  for (const [kind, message] of kinds) {
    const image = tiff(kind, [Buffer.alloc(32 * 32 * 20)])
    await assert.rejects(decoder.decode(image, 'tiff'), { code: 'UNDECODABLE_IMAGE', message })
  }
})

test('tiles and tags of billions are refused before anything of their size is made', () => {
  const pixels = Buffer.from(inFields(fields).flat(2) as number[])
  const manyOffsets = tiff({ planar: true, tile: 32 }, [0, 1, 2].map(plane))
  // The tag of tile offsets, of type LONG: four billion of them.
  manyOffsets.writeUInt32LE(0xffffffff, manyOffsets.indexOf(Buffer.from([0x44, 1, 4, 0])) + 4)
  const before = process.memoryUsage().rss
  assert.throws(() => measure(tiff({ tile: 65_535 }, [pixels]), 'tiff'), /tiles of 65535 × 65535/)
  assert.throws(() => firstFrame(manyOffsets, 'tiff'), /truncated or corrupt/)
  assert.ok(process.memoryUsage().rss - before < 50e6)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deflateSync } from 'node:zlib'
import sharp, { type Sharp } from 'sharp'
import { firstFrame, measure } from '@streamsight/images'
import { assertFields, fields, fieldsInput, inFields } from './support/fields.ts'
import { decoderOf, draw, type Colour } from './support/pictures.ts'

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
  // Which field is stored where so that `fields` is seen.
  const stored = {
    1: [0, 1, 2, 3],
    2: [1, 0, 3, 2],
    3: [3, 2, 1, 0],
    4: [2, 3, 0, 1],
    5: [0, 2, 1, 3],
    6: [1, 3, 0, 2],
    7: [3, 1, 2, 0],
    8: [2, 0, 3, 1]
  }
  for (const [orientation, order] of Object.entries(stored)) {
    const pixels = Buffer.from(inFields(order.map(i => fields[i] ?? [0, 0, 0])).flat(2) as number[])
    await assertFields({
      image: tiff({ orientation: Number(orientation) }, [pixels]),
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

interface Kind {
  bits?: number
  samples?: number
  photometric?: number
  planar?: boolean
  tile?: number
  compression?: number
  orientation?: number
  extra?: number
  sampleFormat?: number
  subsampling?: number
  little?: boolean
}

/** A TIFF of 32 × 32 pixels from its pieces. */
function tiff(
  {
    bits = 8,
    samples = 3,
    photometric = 2,
    planar = false,
    tile = 0,
    compression = 1,
    orientation = 1,
    extra,
    sampleFormat,
    subsampling,
    little = true
  }: Kind,
  pieces: Buffer[]
): Buffer {
  const short = (value: number) => {
    const bytes = Buffer.alloc(2)
    if (little) bytes.writeUInt16LE(value)
    else bytes.writeUInt16BE(value)
    return bytes
  }
  const long = (value: number) => {
    const bytes = Buffer.alloc(4)
    if (little) bytes.writeUInt32LE(value)
    else bytes.writeUInt32BE(value)
    return bytes
  }
  const body = Buffer.concat(pieces)
  const offsets = pieces.map((_, i) => 8 + pieces.slice(0, i).reduce((sum, { length }) => sum + length, 0))
  const tags: Array<[tag: number, type: 3 | 4, values: number[]]> = [
    [256, 3, [32]],
    [257, 3, [32]],
    [258, 3, Array.from({ length: samples }, () => bits)],
    [259, 3, [compression]],
    [262, 3, [photometric]],
    ...(tile > 0 ? [] : [[273, 4, offsets] as [number, 4, number[]]]),
    [274, 3, [orientation]],
    [277, 3, [samples]],
    ...(tile > 0
      ? []
      : [
          [278, 3, [32]] as [number, 3, number[]],
          [279, 4, pieces.map(({ length }) => length)] as [number, 4, number[]]
        ]),
    [284, 3, [planar ? 2 : 1]],
    ...(tile > 0
      ? ([
          [322, 3, [tile]],
          [323, 3, [tile]],
          [324, 4, offsets],
          [325, 4, pieces.map(({ length }) => length)]
        ] as Array<[number, 3 | 4, number[]]>)
      : []),
    ...(extra === undefined ? [] : [[338, 3, [extra]] as [number, 3, number[]]]),
    ...(sampleFormat === undefined ? [] : [[339, 3, [sampleFormat]] as [number, 3, number[]]]),
    ...(subsampling === undefined ? [] : [[530, 3, [subsampling, subsampling]] as [number, 3, number[]]])
  ]
  let elsewhere = 8 + body.length + 2 + 12 * tags.length + 4
  const values: Buffer[] = []
  const entries = tags.map(([tag, type, numbers]) => {
    const bytes = Buffer.concat(numbers.map(value => (type === 3 ? short(value) : long(value))))
    const head = [short(tag), short(type), long(numbers.length)]
    if (bytes.length <= 4) return Buffer.concat([...head, bytes, Buffer.alloc(4 - bytes.length)])
    values.push(bytes)
    elsewhere += bytes.length
    return Buffer.concat([...head, long(elsewhere - bytes.length)])
  })
  const start = Buffer.concat([Buffer.from(little ? 'II' : 'MM'), short(42), long(8 + body.length)])
  return Buffer.concat([start, body, short(tags.length), ...entries, long(0), ...values])
}

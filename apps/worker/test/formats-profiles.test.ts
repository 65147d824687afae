import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { deflateSync } from 'node:zlib'
import sharp, { type Sharp } from 'sharp'
import type { ImageFormat } from '@streamsight/images'
import { isSrgb } from '../src/pixels/srgb-profile.ts'
import { decoderOf, draw, grid, inputOf, meanDifference, pngChunk, type Colour } from './support/pictures.ts'
import { greyProfile, greyTableProfile, rgbProfile } from './support/profiles.ts'

const folder = mkdtempSync(join(tmpdir(), 'profiles-'))
after(() => rmSync(folder, { recursive: true }))

/** A profile as a file: the form in which sharp takes it, and converts a picture's colours to it. */
function save(name: string, profile: Buffer): string {
  const file = join(folder, `${name}.icc`)
  writeFileSync(file, profile)
  return file
}

const profiles: Record<string, string> = {
  'Display P3': 'p3',
  'Adobe RGB': save('adobe', rgbProfile('Adobe RGB')),
  ProPhoto: save('prophoto', rgbProfile('ProPhoto')),
  sRGB: save('srgb', rgbProfile('sRGB'))
}

const greyProfiles = { 'a power': save('grey', greyProfile(1.8)), 'a table': save('table', greyTableProfile(1.8)) }

const colours: Colour[] = [
  [200, 60, 40],
  [60, 160, 80],
  [50, 70, 180],
  [128, 128, 128]
]
const input = inputOf({ width: 2, kernel: 'nearest' })
const inFields = (fields: Colour[]) =>
  draw(grid(32, 32, (x, y) => fields[(y < 16 ? 0 : 2) + (x < 16 ? 0 : 1)] ?? [0, 0, 0]))

async function assertColours({
  image,
  type,
  wanted = colours,
  what,
  within = 3
}: {
  image: Buffer
  type: ImageFormat
  wanted?: Colour[]
  what: string
  within?: number
}): Promise<void> {
  const decoder = await decoderOf(input)
  const rgb = await decoder.decode(image, type)
  assert.ok(
    rgb.every((value, i) => Math.abs(value - (wanted.flat()[i] ?? NaN)) <= within),
    `${what} through ${rgb.join()} instead of ${wanted.flat().join()}`
  )
}

const formats: Array<{ type: ImageFormat; encode: (picture: Sharp) => Sharp }> = [
  { type: 'jpeg', encode: picture => picture.jpeg({ quality: 100, chromaSubsampling: '4:4:4' }) },
  { type: 'png', encode: picture => picture.png() },
  { type: 'tiff', encode: picture => picture.tiff({ compression: 'lzw' }) }
]

for (const [name, profile] of Object.entries(profiles)) {
  test(`colours of ${name} become sRGB`, async () => {
    for (const { type, encode } of formats) {
      const image = await encode(inFields(colours).withIccProfile(profile)).toBuffer()
      assert.ok((await sharp(image).metadata()).icc !== undefined)
      // One step of ProPhoto, which has colours that nobody can see, is several of sRGB.
      await assertColours({ image, type, what: `${name} ${type}`, within: name === 'ProPhoto' ? 8 : 3 })
    }
  })
}

test('WebP and AVIF in Display P3 become sRGB', async () => {
  const decoder = await decoderOf(input)
  const picture = () => inFields(colours).withIccProfile('p3')
  for (const [type, image] of [
    ['webp', await picture().webp({ lossless: true }).toBuffer()],
    ['avif', await picture().avif({ quality: 95, chromaSubsampling: '4:4:4' }).toBuffer()]
  ] as const) {
    const rgb = (await decoder.decode(image, type)) ?? new Uint8Array()
    assert.ok(
      colours.flat().every((value, i) => Math.abs((value ?? NaN) - (rgb[i] ?? NaN)) <= 4),
      `${type}: ${rgb.join()}`
    )
  }
})

test('16 bits a channel of Display P3 become 8 of sRGB, on white where transparent', async () => {
  const deep = (picture: Sharp) => picture.toColourspace('rgb16').withIccProfile('p3').png().toBuffer()
  const image = await deep(inFields(colours))
  assert.equal((await sharp(image).metadata()).depth, 'ushort')
  await assertColours({ image, type: 'png', what: '16 bits' })
  const clear = await deep(
    inFields([
      [200, 60, 40, 255],
      [60, 160, 80, 0],
      [50, 70, 180, 255],
      [0, 0, 0, 0]
    ])
  )
  await assertColours({
    image: clear,
    type: 'png',
    wanted: [
      [200, 60, 40],
      [255, 255, 255],
      [50, 70, 180],
      [255, 255, 255]
    ],
    what: '16 bits with alpha'
  })
})

test('grey of another gamma becomes sRGB’s', async () => {
  // 100/255 at a gamma of 1.8 is the light 0.1855, which sRGB writes as 1.055 · 0.1855^(1/2.4) − 0.055 = 0.468, or 119; so on.
  const wanted = [10, 100, 180, 250].map((grey): Colour => {
    const light = (grey / 255) ** 1.8
    const value = 255 * (light <= 0.0031308 ? 12.92 * light : 1.055 * light ** (1 / 2.4) - 0.055)
    return [value, value, value]
  })
  const plain = await inFields([10, 100, 180, 250].map(grey => [grey, grey, grey]))
    .toColourspace('b-w')
    .png()
    .toBuffer()
  for (const [kind, profile] of [
    ['a power', greyProfile(1.8)],
    ['a table', greyTableProfile(1.8)]
  ] as const) {
    await assertColours({ image: withPngProfile(plain, profile), type: 'png', wanted, what: kind })
  }
})

test('grey in a profile comes back from JPEG and TIFF', async () => {
  const greys = [10, 100, 180, 250].map((grey): Colour => [grey, grey, grey])
  for (const [kind, profile] of Object.entries(greyProfiles)) {
    for (const { type, encode } of formats) {
      const image = await encode(inFields(greys).toColourspace('b-w').withIccProfile(profile)).toBuffer()
      if ((await sharp(image).metadata()).icc === undefined) continue
      await assertColours({ image, type, wanted: greys, what: `${kind} in ${type}` })
    }
  }
})

test('a CMYK JPEG with the profile that is assumed where there is none shows the same colours', async () => {
  const cmyk = () =>
    inFields([
      [190, 110, 100],
      [110, 150, 110],
      [100, 110, 150],
      [220, 210, 160]
    ]).toColourspace('cmyk')
  const plain = await cmyk().jpeg({ quality: 100 }).toBuffer()
  const { icc = Buffer.alloc(0) } = await sharp(await cmyk().withIccProfile('cmyk').jpeg().toBuffer()).metadata()
  // Too large for one segment.
  assert.ok(icc.length > 500_000)
  const image = withJpegProfile(plain, icc)
  assert.deepEqual((await sharp(image).metadata()).icc, icc)
  const decoder = await decoderOf(input)
  assert.ok(meanDifference(await decoder.decode(image, 'jpeg'), await decoder.decode(plain, 'jpeg')) <= 1)
})

test('a broken profile loses no picture', async t => {
  const whole = rgbProfile('ProPhoto')
  const broken: Record<string, Buffer> = {
    'of no bytes': Buffer.alloc(0),
    'of zeros': Buffer.alloc(600),
    'cut short': whole.subarray(0, 200),
    'with tags outside of it': altered(whole, profile => {
      for (let at = 136; at < 240; at += 12) profile.writeUInt32BE(0xfffffff0, at)
    }),
    'with four billion tags': altered(whole, profile => profile.writeUInt32BE(0xffffffff, 128)),
    'for CMYK': altered(whole, profile => profile.write('CMYK', 16, 'latin1')),
    'for grey': greyProfile(1.8),
    'with a curve of four billion points': altered(whole, profile =>
      profile.writeUInt32BE(0xffffffff, profile.indexOf('curv') + 8)
    )
  }
  const png = await inFields(colours).png().toBuffer()
  const jpeg = await inFields(colours).jpeg({ quality: 100, chromaSubsampling: '4:4:4' }).toBuffer()
  for (const [what, profile] of Object.entries(broken)) {
    await t.test(what, async () => {
      await assertColours({ image: withPngProfile(png, profile), type: 'png', what })
      await assertColours({ image: withJpegProfile(jpeg, profile), type: 'jpeg', what })
    })
  }
})

test('a compressed profile of gigabytes is not unpacked', async () => {
  const bomb = withPngProfile(await inFields(colours).png().toBuffer(), Buffer.alloc(400_000_000))
  assert.ok(bomb.length < 500_000)
  const before = process.memoryUsage().rss
  await assertColours({ image: bomb, type: 'png', what: 'a bomb' })
  assert.ok(
    process.memoryUsage().rss - before < 100e6,
    `${Math.round((process.memoryUsage().rss - before) / 1e6)} MB were allocated`
  )
})

test('sRGB is known by what its profile does, and costs nothing then', async () => {
  assert.equal(isSrgb(rgbProfile('sRGB')), true)
  assert.equal(
    isSrgb(
      await sharp(await inFields(colours).withIccProfile('srgb').png().toBuffer())
        .metadata()
        .then(({ icc }) => icc ?? Buffer.alloc(0))
    ),
    true
  )
  for (const other of [rgbProfile('Adobe RGB'), rgbProfile('ProPhoto'), greyProfile(2.2)])
    assert.equal(isSrgb(other), false)
})

function altered(profile: Buffer, change: (copy: Buffer) => void): Buffer {
  const copy = Buffer.from(profile)
  change(copy)
  return copy
}

/** Puts a profile behind the PNG's first chunk, whatever it is. */
function withPngProfile(png: Buffer, profile: Buffer): Buffer {
  const chunk = pngChunk('iCCP', Buffer.concat([Buffer.from('test\0\0', 'latin1'), deflateSync(profile)]))
  return Buffer.concat([png.subarray(0, 33), chunk, png.subarray(33)])
}

/** A segment has room for 65,535 bytes, so that a large profile takes several. */
function withJpegProfile(jpeg: Buffer, profile: Buffer): Buffer {
  const partBytes = 65_000
  const count = Math.max(1, Math.ceil(profile.length / partBytes))
  const segments = Array.from({ length: count }, (_, i) => {
    const part = profile.subarray(i * partBytes, (i + 1) * partBytes)
    const head = Buffer.from('\xff\xe2\0\0ICC_PROFILE\0\0\0', 'latin1')
    head.writeUInt16BE(head.length - 2 + part.length, 2)
    head.set([i + 1, count], head.length - 2)
    return Buffer.concat([head, part])
  })
  return Buffer.concat([jpeg.subarray(0, 2), ...segments, jpeg.subarray(2)])
}

import assert from 'node:assert/strict'
import { test } from 'node:test'
import sharp from 'sharp'
import type { Input } from '@streamsight/models'
import { frameOf } from '../src/pixels/frame.ts'
import { decoderOf, draw, grid, inputOf, type Colour } from './support/pictures.ts'

const grey = (value: number): Colour => [value, value, value]

/** Checks the red of every output pixel, from both decoders; libvips computes in fixed point, hence the 1. */
async function assertRed({ rows, input, red }: { rows: Colour[][]; input: Input; red: number[] }): Promise<void> {
  const image = await draw(rows).png().toBuffer()
  const decoder = await decoderOf(input)
  const rgb = await decoder.decode(image, 'png')
  assert.equal(rgb.length, input.width * input.height * 3)
  const found = Array.from(rgb).filter((_, i) => i % 3 === 0)
  assert.ok(
    found.every((value, i) => Math.abs(value - (red[i] ?? NaN)) <= 1),
    `${found.join()} instead of ${red.join()}`
  )
}

test('a picture of the model’s size passes through unchanged, channel by channel', async () => {
  const rows: Colour[][] = [
    [
      [250, 0, 10],
      [0, 240, 20]
    ],
    [
      [30, 40, 230],
      [7, 8, 9]
    ]
  ]
  const image = await draw(rows).png().toBuffer()
  const decoder = await decoderOf(inputOf({ width: 2 }))
  assert.deepEqual(Array.from(await decoder.decode(image, 'png')), rows.flat(2))
})

test('nearest takes the pixel in the middle of what it stands for', async () => {
  // 4 → 2: the middles of the output pixels fall on 1 and 3.
  await assertRed({
    rows: grid(4, 4, (x, y) => grey(x + 10 * y)),
    input: inputOf({ width: 2, fit: 'fill', kernel: 'nearest' }),
    red: [11, 13, 31, 33]
  })
})

test('nearest repeats pixels when it enlarges', async () => {
  await assertRed({
    rows: grid(2, 2, (x, y) => grey(x + 10 * y)),
    input: inputOf({ width: 4, fit: 'fill', kernel: 'nearest' }),
    red: [0, 0, 1, 1, 0, 0, 1, 1, 10, 10, 11, 11, 10, 10, 11, 11]
  })
})

test('linear weighs by distance over twice the pixels when it halves', async () => {
  // Weights 1/8, 3/8, 3/8, 1/8 around the middle; beyond the edge the outermost pixel repeats:
  // (0·4 + 80·3 + 160·1) / 8 = 50 and (80·1 + 160·3 + 240·4) / 8 = 190.
  await assertRed({
    rows: grid(4, 4, x => grey(80 * x)),
    input: inputOf({ width: 2, fit: 'fill', kernel: 'linear' }),
    red: [50, 190, 50, 190]
  })
})

test('linear halves rows as it halves columns', async () => {
  await assertRed({
    rows: grid(4, 4, (_, y) => grey(80 * y)),
    input: inputOf({ width: 2, fit: 'fill', kernel: 'linear' }),
    red: [50, 50, 190, 190]
  })
})

test('cubic halves with the Catmull-Rom weights, which overshoot at an edge', async () => {
  // Pixels ½, 3⁄2, 5⁄2 and 7⁄2 away weigh 111, 29, −9 and −3 of 256, on either side. With 0 up to pixel 3 and 200 from pixel 4:
  // 200·(−3)/256 < 0;  200·(29 − 9 − 3)/256 = 13;  200·(2·111 + 29 − 9 − 3)/256 = 187;  200·(2·111 + 2·29 − 2·9 − 3)/256 = 202.
  await assertRed({
    rows: grid(8, 4, x => grey(x < 4 ? 0 : 200)),
    input: inputOf({ width: 4, height: 2, fit: 'fill', kernel: 'cubic' }),
    red: [0, 13, 187, 202, 0, 13, 187, 202]
  })
})

test('enlarging interpolates between the middles of pixels', async () => {
  // 2 → 4: the middles lie at ¼, ¾, 5⁄4 and 7⁄4, and those of the pixels at ½ and 3⁄2.
  await assertRed({
    rows: grid(2, 2, x => grey(100 * x)),
    input: inputOf({ width: 4, fit: 'fill', kernel: 'linear' }),
    red: Array.from({ length: 4 }, () => [0, 25, 75, 100]).flat()
  })
})

test('fill stretches the whole picture, whatever its shape', async () => {
  // 8 × 2 → 2 × 2: columns shrink by 4, rows not at all.
  await assertRed({
    rows: grid(8, 2, (x, y) => grey(10 * x + y)),
    input: inputOf({ width: 2, fit: 'fill', kernel: 'nearest' }),
    red: [20, 60, 21, 61]
  })
})

test('cover keeps the middle of a wide picture', async () => {
  await assertRed({
    rows: grid(6, 2, (x, y) => grey(10 * x + y)),
    input: inputOf({ width: 2, kernel: 'nearest' }),
    red: [20, 30, 21, 31]
  })
})

test('cover keeps the middle of a tall picture', async () => {
  await assertRed({
    rows: grid(2, 6, (x, y) => grey(10 * y + x)),
    input: inputOf({ width: 2, kernel: 'nearest' }),
    red: [20, 21, 30, 31]
  })
})

test('cover cuts an odd pixel off at the far end, as PIL does', async () => {
  await assertRed({
    rows: grid(5, 2, (x, y) => grey(10 * x + y)),
    input: inputOf({ width: 2, kernel: 'nearest' }),
    red: [10, 20, 11, 21]
  })
  await assertRed({
    rows: grid(2, 5, (x, y) => grey(10 * y + x)),
    input: inputOf({ width: 2, kernel: 'nearest' }),
    red: [10, 11, 20, 21]
  })
})

test('cover scales the short side to the input first', async () => {
  // 8 × 4 → 4 × 2 (nearest: pixels 1, 3, 5, 7) → the middle 2 × 2.
  await assertRed({
    rows: grid(8, 4, (x, y) => grey(10 * x + y)),
    input: inputOf({ width: 2, kernel: 'nearest' }),
    red: [31, 51, 33, 53]
  })
})

test('cover fills an input that is not square', async () => {
  // 4 × 4 → 4 × 4 → the middle two rows.
  await assertRed({
    rows: grid(4, 4, (x, y) => grey(10 * x + y)),
    input: inputOf({ width: 4, height: 2, kernel: 'nearest' }),
    red: [1, 11, 21, 31, 2, 12, 22, 32]
  })
})

test('cropFraction scales to more than the input and cuts the rim off', async () => {
  await assertRed({
    rows: grid(4, 4, (x, y) => grey(10 * x + y)),
    input: inputOf({ width: 2, kernel: 'nearest', cropFraction: 0.5 }),
    red: [11, 21, 12, 22]
  })
})

test('cropFraction applies to fill as well', async () => {
  // 8 × 4 → 4 × 4 (columns 1, 3, 5, 7) → the middle.
  await assertRed({
    rows: grid(8, 4, (x, y) => grey(10 * x + y)),
    input: inputOf({ width: 2, fit: 'fill', kernel: 'nearest', cropFraction: 0.5 }),
    red: [31, 51, 32, 52]
  })
})

test('cropFraction 0.875 of 7 pixels is a scale to 8', async () => {
  await assertRed({
    rows: grid(8, 8, x => grey(10 * x)),
    input: inputOf({ width: 7, kernel: 'nearest', cropFraction: 0.875 }),
    red: Array.from({ length: 49 }, (_, i) => 10 * (i % 7))
  })
})

test('transparency shows white', async () => {
  // 51 of 255 is a fifth: 200/5 + 255·4/5 = 244.
  const image = await draw([
    [
      [200, 100, 0, 255],
      [200, 100, 0, 0]
    ],
    [
      [200, 100, 0, 51],
      [0, 0, 0, 102]
    ]
  ])
    .png()
    .toBuffer()
  const decoder = await decoderOf(inputOf({ width: 2 }))
  assert.deepEqual(
    Array.from(await decoder.decode(image, 'png')),
    [200, 100, 0, 255, 255, 255, 244, 224, 204, 153, 153, 153],
    decoder.name
  )
})

test('transparent pixels lend no colour to their neighbours', async () => {
  // Half the columns are red but transparent: the picture is white there before anything is averaged.
  const image = await draw(grid(8, 8, x => (x < 4 ? [255, 0, 0, 0] : [0, 0, 0, 255])))
    .png()
    .toBuffer()
  const decoder = await decoderOf(inputOf({ width: 2, fit: 'fill', kernel: 'linear' }))
  const [red = 0, green = 0, blue = 0] = await decoder.decode(image, 'png')
  assert.equal(red, green)
  assert.equal(red, blue)
})

test('one pixel becomes an input full of it', async () => {
  const image = await draw([[[12, 34, 56]]])
    .png()
    .toBuffer()
  const decoder = await decoderOf(inputOf({ width: 5 }))
  assert.deepEqual(
    Array.from(await decoder.decode(image, 'png')),
    Array.from({ length: 25 }, () => [12, 34, 56]).flat(),
    decoder.name
  )
})

test('the frame of a photo is what PIL’s users make of it', () => {
  const imageNet = inputOf({ width: 224, cropFraction: 0.875 })
  // 500 · 256/375 = 341.3 → 341; (341 − 224)/2 = 58.5 → 58; (256 − 224)/2 = 16
  assert.deepEqual(frameOf({ width: 500, height: 375 }, imageNet), {
    scaled: { width: 341, height: 256 },
    left: 58,
    top: 16
  })
  assert.deepEqual(frameOf({ width: 375, height: 500 }, imageNet), {
    scaled: { width: 256, height: 341 },
    left: 16,
    top: 58
  })
  assert.deepEqual(frameOf({ width: 100, height: 100 }, imageNet), {
    scaled: { width: 256, height: 256 },
    left: 16,
    top: 16
  })
  assert.deepEqual(frameOf({ width: 500, height: 375 }, inputOf({ width: 224, fit: 'fill' })), {
    scaled: { width: 224, height: 224 },
    left: 0,
    top: 0
  })
})

test('pictures of every shape fill the input, whatever the kernel', async () => {
  const input = inputOf({ width: 12, height: 10, cropFraction: 0.9 })
  for (const width of [1, 2, 7, 12, 13, 31, 64, 333]) {
    for (const height of [1, 3, 10, 11, 29, 200]) {
      for (const fit of ['fill', 'cover'] as const) {
        const kernel = (['nearest', 'linear', 'cubic', 'lanczos3'] as const)[(width + height) % 4] ?? 'linear'
        const picture = draw(grid(width, height, () => [50, 100, 150]))
        for (const [type, image] of [
          ['png', await picture.png().toBuffer()],
          ['jpeg', await picture.clone().jpeg({ quality: 100 }).toBuffer()]
        ] as const) {
          const decoder = await decoderOf({ ...input, fit, kernel })
          const rgb = await decoder.decode(image, type)
          assert.equal(rgb.length, 12 * 10 * 3)
          assert.ok(
            rgb.every((value, i) => Math.abs(value - ([50, 100, 150][i % 3] ?? NaN)) <= 3),
            `${type} ${width} × ${height} ${fit} ${kernel}: ${rgb.join()}`
          )
        }
      }
    }
  }
})

test('a strip a pixel high and a million wide costs no more than it shows', async () => {
  const image = await sharp({ create: { width: 1_000_000, height: 1, channels: 3, background: '#804020' } })
    .png()
    .toBuffer()
  const decoder = await decoderOf(inputOf({ width: 32 }))
  const before = process.memoryUsage().rss
  assert.deepEqual(Array.from((await decoder.decode(image, 'png')).subarray(0, 3)), [0x80, 0x40, 0x20])
  // Enlarged to 32 rows the whole strip would be 32 million columns wide.
  assert.ok(process.memoryUsage().rss - before < 100e6)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeBmp } from '../src/pixels/bmp.ts'
import { assertFields, fields, inFields } from './support/fields.ts'
import { grid, type Colour } from './support/pictures.ts'

/** Which of the four fields is where, from the bottom row up as BMP has them. */
const indices = grid(32, 32, (x, y): Colour => [(y < 16 ? 2 : 0) + (x < 16 ? 0 : 1), 0, 0]).map(row =>
  row.map(([field]) => field)
)
const fromBottom = inFields(fields).toReversed()

const palette = Buffer.from(fields.flatMap(([red, green, blue]) => [blue, green, red, 0]))
const shortPalette = Buffer.from(fields.flatMap(([red, green, blue]) => [blue, green, red]))

async function assertBmp(image: Buffer, what: string, within = 0): Promise<void> {
  await assertFields({ image, type: 'bmp', what, within })
}

test('pixels of 2, 4 and 8 bits are colours of a palette', async () => {
  for (const bits of [2, 4, 8]) {
    const perByte = 8 / bits
    const rows = indices.map(row =>
      Buffer.from(
        Array.from({ length: 32 / perByte }, (_, i) =>
          Array.from({ length: perByte }, (_, k) => row[i * perByte + k] ?? 0).reduce(
            (byte, index) => (byte << bits) | index,
            0
          )
        )
      )
    )
    await assertBmp(bmp({ bits, palette }, rows), `${bits} bits`)
    await assertBmp(bmp({ bits, palette, height: -32 }, rows.toReversed()), `${bits} bits from top to bottom`)
    await assertBmp(os2({ bits, palette: shortPalette }, rows), `${bits} bits of OS/2`)
  }
})

test('rows are filled up to whole groups of four bytes', () => {
  // 3 × 2 pixels of 1 bit: 101 and 010 from the bottom up.
  const rgba = decodeBmp(
    bmp({ width: 3, height: 2, bits: 1, palette: Buffer.from([0, 0, 0, 0, 255, 255, 255, 0]) }, [
      Buffer.from([0b10100000, 0, 0, 0]),
      Buffer.from([0b01000000, 0, 0, 0])
    ])
  ).data
  assert.deepEqual(
    Array.from(rgba).filter((_, i) => i % 4 === 0),
    [0, 255, 0, 255, 0, 255]
  )
})

test('24 and 32 bits are blue, green and red', async () => {
  await assertBmp(
    bmp(
      { bits: 24 },
      fromBottom.map(row => Buffer.from(row.flatMap(([red, green, blue]) => [blue, green, red])))
    ),
    '24 bits'
  )
  await assertBmp(
    bmp(
      { bits: 32 },
      fromBottom.map(row => Buffer.from(row.flatMap(([red, green, blue]) => [blue, green, red, 0])))
    ),
    '32 bits'
  )
})

test('masks say where the bits of a colour are', async () => {
  const wide = fromBottom.map(row => Buffer.from(row.flatMap(([red, green, blue]) => [255, red, green, blue])))
  await assertBmp(
    bmp({ bits: 32, compression: 3, masks: [0xff00, 0xff0000, 0xff000000] }, wide),
    'RGB behind a byte of nothing'
  )
  const packed = (row: Colour[], [r, g, b]: [number, number, number]) =>
    Buffer.from(
      Uint16Array.from(
        row,
        ([red, green, blue]) => ((red >> (8 - r)) << (g + b)) | ((green >> (8 - g)) << b) | (blue >> (8 - b))
      ).buffer
    )
  await assertBmp(
    bmp(
      { bits: 16 },
      fromBottom.map(row => packed(row, [5, 5, 5]))
    ),
    '5 bits each',
    8
  )
  await assertBmp(
    bmp(
      { bits: 16, compression: 3, masks: [0xf800, 0x7e0, 0x1f] },
      fromBottom.map(row => packed(row, [5, 6, 5]))
    ),
    '5, 6 and 5 bits',
    8
  )
})

test('a mask for alpha shows white where it is 0, unless it is 0 everywhere', async () => {
  const masks = [0xff0000, 0xff00, 0xff, 0xff000000]
  const rows = (alpha: (field: number) => number) =>
    fromBottom.map((row, y) =>
      Buffer.from(row.flatMap(([red, green, blue], x) => [blue, green, red, alpha(indices[y]?.[x] ?? 0)]))
    )
  const clear = bmp(
    { bits: 32, compression: 6, masks },
    rows(field => (field === 1 ? 0 : 255))
  )
  await assertFields({
    image: clear,
    type: 'bmp',
    colours: fields.map((colour, i) => (i === 1 ? [255, 255, 255] : colour)),
    within: 0
  })
  await assertBmp(
    bmp(
      { bits: 32, compression: 6, masks },
      rows(() => 0)
    ),
    'no alpha at all'
  )
})

test('runs of 8 and of 4 bits', async () => {
  const [endOfRow, end] = [
    [0, 0],
    [0, 1]
  ]
  const pair = (index: number) => (index << 4) | index
  const runs8 = indices.flatMap(row => [16, row[0] ?? 0, 16, row[31] ?? 0, ...endOfRow])
  await assertBmp(bmp({ bits: 8, compression: 1, palette }, [Buffer.from([...runs8, ...end])]), 'runs of 8 bits')
  await assertBmp(
    bmp({ bits: 8, compression: 1, palette, height: -32 }, [
      Buffer.from([...indices.toReversed().flatMap(row => [16, row[0] ?? 0, 16, row[31] ?? 0, ...endOfRow]), ...end])
    ]),
    'from top to bottom'
  )
  const runs4 = indices.flatMap(row => [16, pair(row[0] ?? 0), 16, pair(row[31] ?? 0), ...endOfRow])
  await assertBmp(bmp({ bits: 4, compression: 2, palette }, [Buffer.from([...runs4, ...end])]), 'runs of 4 bits')
  // Sixteen pixels as they are, then a run.
  const single8 = indices.flatMap(row => [0, 16, ...row.slice(0, 16), 16, row[31] ?? 0, ...endOfRow])
  await assertBmp(
    bmp({ bits: 8, compression: 1, palette }, [Buffer.from([...single8, ...end])]),
    'single pixels of 8 bits'
  )
  // An odd number of pixels, filled up to an even number of bytes.
  const single4 = indices.flatMap(row => [
    0,
    5,
    pair(row[0] ?? 0),
    pair(row[0] ?? 0),
    pair(row[0] ?? 0),
    0,
    11,
    pair(row[0] ?? 0),
    16,
    pair(row[31] ?? 0),
    ...endOfRow
  ])
  await assertBmp(
    bmp({ bits: 4, compression: 2, palette }, [Buffer.from([...single4, ...end])]),
    'single pixels of 4 bits'
  )
})

test('what runs jump over has the first colour, and what sticks out of a row is dropped', () => {
  // Two rows of four: at the bottom five of colour 1, then a move by two to the right in the next row, and one of colour 2.
  const rgba = decodeBmp(
    bmp({ width: 4, height: 2, bits: 8, compression: 1, palette }, [Buffer.from([5, 1, 0, 0, 0, 2, 2, 0, 1, 2, 0, 1])])
  ).data
  assert.deepEqual(
    Array.from(rgba).filter((_, i) => i % 4 === 0),
    [200, 200, 50, 200, 60, 60, 60, 60]
  )
})

test('a BMP that is cut short, or of a kind nobody reads, is refused', () => {
  const whole = bmp(
    { bits: 24 },
    fromBottom.map(row => Buffer.from(row.flatMap(([red, green, blue]) => [blue, green, red])))
  )
  for (const length of [0, 10, 20, 40, 54, 1_000, whole.length - 1])
    assert.throws(() => decodeBmp(whole.subarray(0, length)), RangeError, String(length))
  assert.throws(() => decodeBmp(bmp({ bits: 8, compression: 1, palette }, [Buffer.from([16, 0, 0])])), RangeError)
  for (const [bits, compression] of [
    [0, 4],
    [0, 5],
    [24, 1],
    [3, 0],
    [8, 2]
  ] as const) {
    assert.throws(() => decodeBmp(bmp({ bits, compression }, [])), {
      code: 'UNDECODABLE_IMAGE',
      message: `A BMP of ${bits} bits a pixel with compression ${compression} is not supported`
    })
  }
})

interface Kind {
  width?: number
  height?: number
  bits: number
  compression?: number
  palette?: Buffer
  masks?: number[]
}

/** A BMP with Windows' first header, from its rows as they are stored. */
function bmp(
  { width = 32, height = 32, bits, compression = 0, palette = Buffer.alloc(0), masks = [] }: Kind,
  rows: Buffer[]
): Buffer {
  const head = Buffer.alloc(54 + 4 * masks.length)
  head.write('BM')
  head.writeUInt32LE(head.length + palette.length, 10)
  head.writeUInt32LE(40, 14)
  head.writeInt32LE(width, 18)
  head.writeInt32LE(height, 22)
  head.writeUInt16LE(1, 26)
  head.writeUInt16LE(bits, 28)
  head.writeUInt32LE(compression, 30)
  head.writeUInt32LE(palette.length / 4, 46)
  for (const [i, mask] of masks.entries()) head.writeUInt32LE(mask, 54 + 4 * i)
  return Buffer.concat([head, palette, ...rows])
}

/** The same with the first header of OS/2. */
function os2({ bits, palette = Buffer.alloc(0) }: Kind, rows: Buffer[]): Buffer {
  const head = Buffer.alloc(26)
  head.write('BM')
  head.writeUInt32LE(head.length + palette.length, 10)
  head.writeUInt32LE(12, 14)
  for (const [i, value] of [32, 32, 1, bits].entries()) head.writeUInt16LE(value, 18 + 2 * i)
  return Buffer.concat([head, palette, ...rows])
}

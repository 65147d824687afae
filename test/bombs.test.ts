/** What a picture file's header must count so that no small file costs much. `npm run test:fuzz -- --bombs` sends them all. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { measure, type ImageFormat } from '../packages/images/dist/index.js'
import { side } from './support/bombs/bomb.ts'
import { extents, gridOf, heif } from './support/bombs/heif-file.ts'
import { avifTile, heicTile, made, single, web } from './support/bombs/heif.ts'
import { jpegBombs, progressive } from './support/bombs/jpeg.ts'
import { tiff } from '../apps/worker/test/support/tiff.ts'

const pixelsOf = (image: Buffer, format: ImageFormat): number => measure(image, format).decodedPixels

test('A3: a grid counts what its tiles decode to and its own canvas, whatever it claims', async () => {
  const tile = await avifTile(64)
  const claim = { width: 64, height: 64 }
  assert.equal(pixelsOf(made(tile, { content: gridOf(2, 2, 64, 64), to: [2, 2, 2, 2], ...claim }), 'avif'), 4 * 64 * 64)
  assert.equal(pixelsOf(made(tile, { content: gridOf(1, 1, 7_000, 7_000), to: [2], ...claim }), 'avif'), 7_000 * 7_000)
})

test('A3: overlays of each other are weighed once each: paths without number cost no time', async () => {
  for (const tile of [await avifTile(64), heicTile()]) {
    const format = tile.type === 'av01' ? 'avif' : 'heic'
    // 12 layers deep it would be refused; three layers of 60 are 60⁴ paths, minutes for who walks each.
    assert.equal(pixelsOf(web(tile, { wide: 60, deep: 3 }), format), 60 ** 4 * tile.width * tile.height)
    assert.throws(() => measure(web(tile, { wide: 2, deep: 12 }), format), /parts of parts of parts/)
  }
})

test('A3: the coder’s size counts, wherever it stands in the item and however often', async () => {
  const [small, large] = [await avifTile(64), await avifTile(512)]
  const empty = Buffer.from([0x12, 0])
  const claim = { width: 64, height: 64 }
  const files = {
    'after empty units': single(large, {
      ...claim,
      content: [Buffer.concat([Buffer.alloc(40, empty), large.content])]
    }),
    'in a second piece': single(large, { ...claim, content: [empty, large.content] }),
    'after another': single(small, { content: [small.content, large.content] })
  }
  for (const [what, image] of Object.entries(files)) assert.equal(pixelsOf(image, 'avif'), 512 * 512, what)
  assert.throws(() => measure(single(small, { content: [empty] }), 'avif'), /does not say the size of its pixels/)
  const unknown = heif({
    brand: 'avif',
    items: [{ id: 1, type: 'unci', content: [empty], properties: [1] }],
    properties: [extents(64, 64)]
  })
  assert.throws(() => measure(unknown, 'avif'), /pictures of kind "unci"/)
})

test('a JPEG in several scans is held in memory as a whole, and has no passes within a TIFF', () => {
  const bomb = (name: string) => jpegBombs().find(bomb => bomb.name === name)?.image ?? Buffer.alloc(0)
  assert.equal(measure(bomb('jpeg of 49 MP'), 'jpeg').isBuffered, false)
  assert.equal(measure(bomb('jpeg of 49 MP, a scan a colour'), 'jpeg').isBuffered, true)
  assert.equal(pixelsOf(bomb('jpeg of 49 MP, CMYK'), 'jpeg'), Math.ceil((side * side * 4) / 3))
  const passes = progressive({ width: 32, height: 32, scans: 5 })
  assert.throws(() => measure(tiff({ photometric: 6, compression: 7 }, [passes]), 'tiff'), /progressive JPEG/)
})

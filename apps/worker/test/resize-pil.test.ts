import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Input } from '@streamsight/models'
import { decoderOf, draw, fixtures, grid, inputOf, meanDifference, type Colour } from './support/pictures.ts'

interface Golden {
  /** `width x height` of the pattern, or a fixture. */
  name: string
  kernel: Input['kernel']
  /** RGB at 24 × 20, base64. */
  pixels: string
}

/** Edges in all directions, where a fraction of a pixel shows. The same formula is in pil.py. */
const pattern = (x: number, y: number): Colour => [
  (x * x + 3 * y) % 256,
  (x * 7 + y * y) % 256,
  (((x >> 2) + (y >> 3)) % 2) * 255
]

async function goldenPicture(name: string): Promise<{ image: Buffer; enlarges: boolean; isPattern: boolean }> {
  const file = fixtures.find(fixture => fixture.file === name)
  if (file !== undefined) return { image: file.image, enlarges: false, isPattern: false }
  const [width = 0, height = 0] = name.split(' x ').map(Number)
  const image = await draw(grid(width, height, pattern))
    .png()
    .toBuffer()
  return { image, enlarges: width < 24 && height < 20, isPattern: true }
}

test('every kernel gives what PIL gives: nearest and enlarged exactly, shrunk pictures nearly', async t => {
  const golden = JSON.parse(readFileSync(join(import.meta.dirname, 'support/pil.json'), 'utf8')) as Golden[]
  for (const { name, kernel, pixels } of golden) {
    const { image, enlarges, isPattern } = await goldenPicture(name)
    const decoder = await decoderOf(inputOf({ width: 24, height: 20, kernel, fit: 'fill' }))
    const [ours, theirs] = [await decoder.decode(image, 'png'), Buffer.from(pixels, 'base64')]
    await decoder.close()
    const furthest = Math.max(...Array.from(ours, (value, i) => Math.abs(value - (theirs[i] ?? NaN))))
    const mean = meanDifference(ours, theirs)
    t.diagnostic(`${name} ${kernel}: mean ${mean.toFixed(2)}, at most ${furthest} of 255`)
    if (kernel === 'nearest') assert.equal(furthest, 0, name)
    else if (enlarges) assert.ok(furthest <= 1, `${name} ${kernel}: a channel differs by ${furthest}`)
    // libvips averages boxes first; a pattern of single pixels shows that most.
    else assert.ok(mean <= (isPattern ? 4 : 1), `${name} ${kernel}: channels differ by ${mean} on average`)
  }
})

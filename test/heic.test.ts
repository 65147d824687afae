import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createDecoder } from '../apps/worker/dist/pixels/decode.js'
import { rgbProfile } from '../apps/worker/test/support/profiles.ts'
import { inputOf, meanDifference } from '../apps/worker/test/support/pictures.ts'
import { box, extents, heif } from './support/bombs/heif-file.ts'
import { heicTile } from './support/bombs/heif.ts'

/** The picture of a HEIC, coded once more with a profile of its own. */
function heicWith(profile?: Buffer): Buffer {
  const { brand, type, content, settings, width, height } = heicTile()
  const colours = profile === undefined ? [] : [box('colr', Buffer.from('prof'), profile)]
  return heif({
    brand,
    items: [{ id: 1, type, content: [content], properties: [1, 2, ...colours.map(() => 3)] }],
    properties: [extents(width, height), settings, ...colours]
  })
}

test('C7: the profile of a HEIC, in which phones have other colours, becomes sRGB', async t => {
  const decoder = await createDecoder(inputOf({ width: 16, height: 12, kernel: 'linear' }))
  t.after(() => decoder.close())
  const plain = await decoder.decode(heicWith(), 'heic')
  assert.deepEqual(await decoder.decode(heicWith(rgbProfile('sRGB')), 'heic'), plain)
  assert.deepEqual(await decoder.decode(heicWith(Buffer.from('no profile')), 'heic'), plain)
  const wide = await decoder.decode(heicWith(rgbProfile('Adobe RGB')), 'heic')
  // The same numbers mean stronger colours there.
  const spread = (rgb: Uint8Array) =>
    Array.from({ length: rgb.length / 3 }, (_, i) => rgb.subarray(3 * i, 3 * i + 3)).reduce(
      (sum, pixel) => sum + Math.max(...pixel) - Math.min(...pixel),
      0
    )
  assert.ok(meanDifference(wide, plain) > 2, `channels differ by ${meanDifference(wide, plain)}`)
  assert.ok(spread(wide) > 1.1 * spread(plain), `${spread(wide)} against ${spread(plain)}`)
})

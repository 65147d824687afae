import assert from 'node:assert/strict'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { extname, join } from 'node:path'
import { test } from 'node:test'
import { errorTable, type ErrorCode } from '../apps/gateway/dist/errors.js'
import { root } from '../scripts/bootstrap.js'
import { fixture, startSystem, type Answer } from './support/system.ts'

const folder = join(root, '../shared/assets/odd-images')
const missing = !existsSync(folder) && `the collection of odd images is not here: ${folder}`

/** What may become of a picture that is odd, cut, broken or made to do harm. */
const allowed: ErrorCode[] = ['IMAGE_TOO_LARGE', 'TOO_MANY_PIXELS', 'UNSUPPORTED_IMAGE', 'UNDECODABLE_IMAGE']

/** Formats that nobody promised to read. */
const foreign = new Set(['.svg', '.jp2'])

/** Odd, but whole: every viewer shows them. */
const whole = new Set([
  'coral-sunflower.bmp',
  'exif-landscape-1.jpg',
  'exif-landscape-3.jpg',
  'exif-landscape-6.jpg',
  'exif-landscape-8.jpg',
  'pillow-1_trns.png',
  'pillow-exif_typeerror.jpg',
  'pillow-hopper.avif',
  'pillow-hopper.heif',
  'pillow-hopper.webp',
  'pillow-hopper_16bit_qtables.jpg',
  'pillow-anim_frame1.webp',
  'pillow-badpalettesize.bmp',
  'pillow-pal8rletrns.bmp',
  'pillow-truncated_end_chunk.png',
  'pillow-hopper_orientation_6.jpg',
  'pillow-hopper_orientation_6.webp',
  'pillow-i_trns.png',
  'pillow-icc_profile.png',
  'pillow-invalid-exif.jpg',
  'pillow-mode_16bit.png',
  'pillow-palette_wedge.png',
  'pillow-pil_sample_cmyk.jpg',
  'pillow-rot1mir0.avif',
  'pillow-tiff_16bit_RGB.tiff',
  'pillow-tiff_strip_cmyk_jpeg.tif',
  'pillow-transparent.webp',
  'pngsuite-basi2c16.png',
  'pngsuite-basn6a16.png',
  'pngsuite-tbbn3p08.png',
  'sharp-16-bit-grey-alpha.png',
  'sharp-Channel_digital_image_CMYK_color_no_profile.jpg',
  'sharp-Flag_of_the_Netherlands-16bit.png',
  'sharp-big-height.webp',
  'sharp-grey-plus-alpha.gif',
  'sharp-rotating-squares.gif',
  'sharp-uncompressed_tiff.tiff'
])

test(
  'odd images are answered or refused in the right words, and none takes the worker down',
  { skip: missing },
  async t => {
    const system = await startSystem(t, { restart: true })
    const pid = system.workers[0]?.pid
    const files = readdirSync(folder).toSorted()
    assert.ok(files.length > 0)

    for (const file of files) {
      await t.test(file, async () => {
        const answer = await system.predict(readFileSync(join(folder, file)))
        if (answer.status === 200) assertPredictions(answer)
        else assertRefused(answer)
        if (foreign.has(extname(file))) assert.equal(answer.status, 415)
        if (whole.has(file)) assert.equal(answer.status, 200, JSON.stringify(answer.body))
      })
    }

    await t.test('a JPEG of 12 bits is refused for that', async () => {
      const { status, body } = await system.predict(readFileSync(join(folder, 'monkey12.jpg')))
      assert.equal(status, 422)
      assert.equal(body.error?.message, 'This JPEG has 12 bits a channel, of which only 8 are supported')
    })

    await t.test('all of them at once', async () => {
      const answers = await Promise.all(files.map(file => system.predict(readFileSync(join(folder, file)))))
      for (const { status } of answers) assert.ok([200, 413, 415, 422].includes(status), String(status))
    })

    await t.test('the worker is still the one it was, and works', async () => {
      const { status, body } = await system.predict(fixture('ship.jpg'))
      assert.equal(status, 200)
      assert.equal(body.predictions?.[0]?.label, 'ship')
      assert.equal(system.workers[0]?.pid, pid)
      assert.equal(system.workers[0]?.starts, 1)
      assert.equal(system.workers[0].isRunning(), true)
    })
  }
)

function assertPredictions({ body, headers }: Answer): void {
  const { success, predictions = [], requestId, model } = body
  assert.equal(success, true)
  assert.equal(predictions.length, 5)
  const probabilities = predictions.map(({ probability }) => probability)
  assert.ok(
    probabilities.every(probability => probability >= 0 && probability <= 1),
    String(probabilities)
  )
  assert.deepEqual(
    probabilities,
    probabilities.toSorted((a, b) => b - a)
  )
  assert.equal(requestId, headers.get('x-request-id'))
  assert.deepEqual(model, { name: 'everyday', version: '1' })
}

function assertRefused({ status, body, headers }: Answer): void {
  const code = allowed.find(code => code === body.error?.code)
  assert.ok(code, JSON.stringify(body))
  assert.equal(status, errorTable[code].status)
  assert.deepEqual(body, {
    success: false,
    error: { code, message: body.error?.message },
    requestId: headers.get('x-request-id')
  })
}

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Input } from '@streamsight/models'
import { createImageWriter } from '../src/tensor.ts'
import { decoderOf, draw, grid, inputOf } from './support/pictures.ts'

/**
 * From the bytes of a picture to the numbers that a model gets, for each combination of a manifest's settings. The picture's red
 * is 0, 80, 160 and 240 from left to right, its green the other way round, its blue 60; it is halved to 2 × 2.
 */
const kernels = {
  // The middles of the output pixels fall on pixels 1 and 3, and from the other side on their greens.
  nearest: { red: [80, 240], green: [160, 0] },
  // Weights 1/8, 3/8, 3/8, 1/8: (80·3 + 160·1)/8 and (80·1 + 160·3 + 240·4)/8.
  linear: { red: [50, 190], green: [190, 50] },
  // 111, 29, −9, −3 of 256 at ½, 3⁄2, 5⁄2, 7⁄2 pixels: (80·111 + 160·29 − 240·9 − 240·3)/256 = 42, and 240 less that.
  cubic: { red: [42, 198], green: [198, 42] },
  // sinc(x)·sinc(x/3) at ¼, ¾ … 11⁄4 is 0.890, 0.270, −0.133, −0.068, 0.030, 0.007, twice 0.997 in all:
  // (80·0.890 + 160·0.270 + 240·(−0.133 − 0.068 + 0.030 + 0.007))/1.994 = 38, and 240 less that.
  lanczos3: { red: [38, 202], green: [202, 38] }
} as const

const picture = (rows: number) =>
  draw(grid(4, rows, x => [80 * x, 240 - 80 * x, 60]))
    .png()
    .toBuffer()

/** `fill` squeezes 4 × 8 pixels into 2 × 2; `cover` scales them to 2 × 4 and keeps the middle. The columns are the same. */
const fits: Array<Pick<Input, 'fit'> & { rows: number }> = [
  { fit: 'fill', rows: 8 },
  { fit: 'cover', rows: 8 },
  { fit: 'cover', rows: 4 }
]

const numbers = { scale: 0.5, mean: [10, 20, 30], std: [2, 4, 5] } satisfies Partial<Input>

for (const [kernel, { red, green }] of Object.entries(kernels)) {
  for (const { fit, rows } of fits) {
    test(`${kernel} ${fit} of 4 × ${rows}, RGB and BGR, NHWC and NCHW`, async () => {
      const image = await picture(rows)
      for (const channels of ['RGB', 'BGR'] as const) {
        const input = inputOf({ width: 2, fit, kernel: kernel as Input['kernel'], channels, ...numbers })
        const planes = channels === 'RGB' ? [red, green, [60, 60]] : [[60, 60], green, red]
        // (value/2 − mean)/std of its plane.
        const normalized = planes.map((values, plane) =>
          values.map(value => (value / 2 - (numbers.mean[plane] ?? 0)) / (numbers.std[plane] ?? 1))
        )
        const [first = [], second = [], third = []] = normalized
        const row = [0, 1].flatMap(x => [first[x], second[x], third[x]])
        const wanted = { NHWC: [...row, ...row], NCHW: normalized.flatMap(values => [...values, ...values]) }
        for (const layout of ['NHWC', 'NCHW'] as const)
          await assertTensor({ image, input, layout, wanted: wanted[layout] })
      }
    })
  }
}

async function assertTensor({
  image,
  input,
  layout,
  wanted
}: {
  image: Buffer
  input: Input
  layout: 'NHWC' | 'NCHW'
  wanted: Array<number | undefined>
}): Promise<void> {
  const decoder = await decoderOf(input)
  const tensor = new Float32Array(12)
  createImageWriter(input, layout)(await decoder.decode(image, 'png'), tensor, 0)
  // libvips computes in fixed point: a value may be 1 off, which is ½ before it is divided by std, at least 2.
  assert.ok(
    tensor.every((value, i) => Math.abs(value - (wanted[i] ?? NaN)) <= 0.25 + 1e-6),
    `${layout} ${input.channels}: ${Array.from(tensor).join()} instead of ${wanted.join()}`
  )
}

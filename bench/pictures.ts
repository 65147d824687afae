import sharp from 'sharp'
import type { Upload } from './load.ts'

export interface PictureOptions {
  count: number
  width: number
  height: number
  quality?: number
  /** Share of noise in the pixels, 0 to 1: it decides the bytes. */ noise?: number
}

/**
 * Pictures that cost what photos cost: shapes, gradients, and grain enough for the bytes of one (500 × 375: about 44 KB).
 * The same in every run.
 */
export async function photoLike({
  count,
  width,
  height,
  quality = 85,
  noise = 0.15
}: PictureOptions): Promise<Buffer[]> {
  return await Promise.all(
    Array.from({ length: count }, (_, i) => {
      const pixels = paint({ width, height, noise, seed: i + 1 })
      return sharp(pixels, { raw: { width, height, channels: 3 } })
        .jpeg({ quality })
        .toBuffer()
    })
  )
}

function paint({ width, height, noise, seed }: { width: number; height: number; noise: number; seed: number }): Buffer {
  const pixels = Buffer.alloc(width * height * 3)
  let state = (seed * 2_654_435_761) >>> 0
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const shape =
        Math.sin(x * (0.01 + seed * 0.002)) +
        Math.cos(y * (0.013 + seed * 0.001)) +
        (Math.hypot(x - width / 2, y - height / 2) < 90 + 5 * seed ? 0.8 : 0)
      for (let channel = 0; channel < 3; channel++) {
        state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
        pixels[at++] = Math.max(
          0,
          Math.min(255, 128 + 40 * shape + 20 * channel + 255 * noise * (state / 2 ** 32 - 0.5))
        )
      }
    }
  }
  return pixels
}

/** The form that `curl -F image=@photo.jpg` sends. */
export function asForm(image: Buffer): Upload {
  const boundary = '------------------------streamsightbench'
  const head = `--${boundary}\r\nContent-Disposition: form-data; name="image"; filename="photo.jpg"\r\nContent-Type: image/jpeg\r\n\r\n`
  return {
    body: Buffer.concat([Buffer.from(head), image, Buffer.from(`\r\n--${boundary}--\r\n`)]),
    contentType: `multipart/form-data; boundary=${boundary}`
  }
}

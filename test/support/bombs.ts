import type { Bomb } from './bombs/bomb.ts'
import { bmpBombs, gifBombs, webpBombs } from './bombs/gif-webp-bmp.ts'
import { heifBombs } from './bombs/heif.ts'
import { jpegBombs } from './bombs/jpeg.ts'
import { pngBombs } from './bombs/png.ts'
import { tiffBombs } from './bombs/tiff.ts'

/** Small files that would cost much, in every format that is read. None is larger than an upload may be. */
export async function collectBombs(): Promise<Bomb[]> {
  return [
    ...pngBombs(),
    ...jpegBombs(),
    ...gifBombs(),
    ...(await webpBombs()),
    ...(await heifBombs()),
    ...tiffBombs(),
    ...bmpBombs()
  ]
}

import type { Preprocessing } from '../preprocessing.ts'
import { channelsIn, numberIn, pixelFacts, type Companion, type JsonObject } from './companion.ts'

const kernels: Record<string, Preprocessing['kernel']> = {
  nearest: 'nearest',
  bilinear: 'linear',
  bicubic: 'cubic',
  lanczos: 'lanczos3'
}

/** timm's `pretrained_cfg`: what `timm.data.create_transform` makes the pictures of its evaluation with. */
export function readTimm(settings: JsonObject, { path }: { path: string }): Companion {
  const from = 'pretrained_cfg of timm'
  const [, height, width] = Array.isArray(settings['input_size']) ? (settings['input_size'] as unknown[]) : []
  const isSized = typeof width === 'number' && typeof height === 'number'
  const mode = settings['crop_mode'] ?? 'center'
  const share = numberIn(settings, 'crop_pct', path)
  return {
    facts: {
      ...(isSized ? { size: { value: { width, height }, from } } : {}),
      ...pixelFacts(
        {
          channels: 'RGB',
          kernel: kernels[String(settings['interpolation'])],
          fit: mode === 'squash' ? 'fill' : mode === 'center' ? 'cover' : undefined,
          cropFraction: share,
          scale: 1 / 255,
          mean: channelsIn(settings, 'mean', path),
          std: channelsIn(settings, 'std', path)
        },
        from
      )
    },
    layout: 'NCHW'
  }
}

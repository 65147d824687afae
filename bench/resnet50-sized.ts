import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Manifest } from '@streamsight/models'
import { resnet50Onnx } from '../apps/worker/test/support/resnet50.ts'

export const resnet50Sized = 'resnet50-sized'

/** Makes a model of ResNet-50's size with random weights in `folder`, unless it is there: it costs what the real one costs. */
export function ensureResnet50Sized(folder: string): void {
  const dir = join(folder, resnet50Sized)
  if (existsSync(join(dir, 'manifest.json'))) return
  mkdirSync(dir, { recursive: true })
  const bytes = resnet50Onnx()
  writeFileSync(join(dir, 'model.onnx'), bytes)
  writeFileSync(join(dir, 'labels.txt'), Array.from({ length: 1_000 }, (_, i) => `class ${i}`).join('\n'))
  const manifest: Manifest = {
    name: resnet50Sized,
    version: '1',
    license: 'MIT',
    source: 'random weights, made by the bench',
    input: {
      width: 224,
      height: 224,
      channels: 'RGB',
      fit: 'cover',
      cropFraction: 0.875,
      kernel: 'linear',
      scale: 1 / 255,
      mean: [0.485, 0.456, 0.406],
      std: [0.229, 0.224, 0.225]
    },
    output: { activation: 'softmax', classes: 1_000 },
    labels: 'labels.txt',
    artifacts: [
      {
        format: 'onnx',
        path: 'model.onnx',
        layout: 'NCHW',
        files: [{ path: 'model.onnx', bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') }]
      }
    ]
  }
  // Last, because its presence says that the rest is whole.
  writeFileSync(join(dir, 'manifest.json'), JSON.stringify(manifest, null, 2))
}

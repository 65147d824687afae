import { basename } from 'node:path'
import { labelsOfJson } from '../labels.ts'
import { ModelError } from '../../store/manifest.ts'
import { numberIn, pixelFacts, type Companion, type JsonObject } from './companion.ts'

/**
 * What Teachable Machine's `metadata.json` says, and what its library does with a picture: it keeps the middle square, scales it to
 * `imageSize`, divides by 127 and subtracts 1 (`capture` and `cropTo` of @teachablemachine/image 0.8).
 */
export function readTeachableMachine(metadata: JsonObject, path: string): Companion {
  assertForPictures(metadata, path)
  const side = numberIn(metadata, 'imageSize', path)
  const from = `${basename(path)} of Teachable Machine`
  return {
    facts: {
      ...(metadata['labels'] === undefined ? {} : { labels: { value: labelsOfJson(metadata['labels'], path), from } }),
      ...(side === undefined ? {} : { size: { value: { width: side, height: side }, from } }),
      ...middleSquare({ kernel: 'linear', scale: 1 / 127 }, from)
    }
  }
}

/** The same model as Keras file: the Python that comes with it uses `ImageOps.fit` with Lanczos, and 127.5. */
export function readTeachableMachineKeras(): Companion {
  const from = 'keras_model.h5 with labels.txt, as Teachable Machine exports them'
  return { facts: middleSquare({ kernel: 'lanczos3', scale: 1 / 127.5 }, from) }
}

export function isTeachableMachine(metadata: JsonObject): boolean {
  return 'tmVersion' in metadata || /teachablemachine/.test(String(metadata['packageName']))
}

function middleSquare({ kernel, scale }: { kernel: 'linear' | 'lanczos3'; scale: number }, from: string) {
  const ones = [1, 1, 1]
  return pixelFacts({ channels: 'RGB', fit: 'cover', cropFraction: 1, kernel, scale, mean: ones, std: ones }, from)
}

function assertForPictures({ packageName }: JsonObject, path: string): void {
  if (typeof packageName === 'string' && /teachablemachine\/(?!image)/.test(packageName))
    throw new ModelError(`${path}: a model of ${packageName}; only Teachable Machine's image models classify pictures`)
}

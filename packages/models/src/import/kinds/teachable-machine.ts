import { basename } from 'node:path'
import { labelsOfJson } from '../labels.ts'
import { ModelError } from '../../store/error.ts'
import { numberIn, pixelFacts, type Companion, type JsonObject } from './companion.ts'

/**
 * What Teachable Machine's `metadata.json` says, and what is done with a picture there: the middle square is scaled to `imageSize`,
 * and 0–255 to −1–1. Its Python divides by 127.5, its JavaScript (@teachablemachine/image 0.8) by 127: that changes a probability by
 * some 1e-4.
 */
export function readTeachableMachine(metadata: JsonObject, path: string): Companion {
  assertForPictures(metadata, path)
  const side = numberIn(metadata, 'imageSize', path)
  const from = `${basename(path)} of Teachable Machine`
  return {
    facts: {
      ...(metadata['labels'] === undefined ? {} : { labels: { value: labelsOfJson(metadata['labels'], path), from } }),
      ...(side === undefined ? {} : { size: { value: { width: side, height: side }, from } }),
      ...middleSquare('linear', from)
    }
  }
}

/** The same model as Keras file: the Python that comes with it uses `ImageOps.fit` with Lanczos. */
export function readTeachableMachineKeras(): Companion {
  const from = 'keras_model.h5 with labels.txt, as Teachable Machine exports them'
  return { facts: middleSquare('lanczos3', from) }
}

export function isTeachableMachine(metadata: JsonObject): boolean {
  return 'tmVersion' in metadata || /teachablemachine/.test(String(metadata['packageName']))
}

function middleSquare(kernel: 'linear' | 'lanczos3', from: string) {
  const [scale, ones] = [1 / 127.5, [1, 1, 1]]
  return pixelFacts({ channels: 'RGB', fit: 'cover', cropFraction: 1, kernel, scale, mean: ones, std: ones }, from)
}

function assertForPictures({ packageName, grayscale }: JsonObject, path: string): void {
  if (grayscale === true)
    throw new ModelError(
      `${path}: an embedded model, trained on grey pictures ("grayscale"), which can't be served: ` +
        'train it as "Standard image model"'
    )
  if (typeof packageName === 'string' && /teachablemachine\/(?!image)/.test(packageName))
    throw new ModelError(`${path}: a model of ${packageName}; only Teachable Machine's image models classify pictures`)
}

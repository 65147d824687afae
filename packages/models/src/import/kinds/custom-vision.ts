import { ModelError } from '../../store/error.ts'
import { pixelFacts, type Companion, type JsonObject } from './companion.ts'

/** What Azure Custom Vision puts beside an exported model. */
export interface CustomVisionFiles {
  /** `cvexport.manifest`. */
  manifest?: JsonObject | undefined
  /** `metadata_properties.json`. */
  properties?: JsonObject | undefined
  path: string
}

const prefix = 'CustomVision.'

/** Exports to ONNX take BGR with values of 0 to 255, and stretch pictures, unless the files say otherwise. */
export function readCustomVision({ manifest = {}, properties = {}, path }: CustomVisionFiles): Companion {
  assertOneLabel({ manifest, properties, path })
  const crops = !/^(NoCrop|)$/i.test(text(properties, 'Preprocess.CropMethod'))
  return {
    facts: pixelFacts(
      {
        channels: 'BGR',
        fit: crops ? 'cover' : 'fill',
        cropFraction: 1,
        kernel: 'cubic',
        scale: 1,
        mean: numbers(properties, 'Preprocess.NormalizeMean') ?? [0, 0, 0],
        std: numbers(properties, 'Preprocess.NormalizeStd') ?? [1, 1, 1]
      },
      'the export of Azure Custom Vision'
    )
  }
}

function text(properties: JsonObject, name: string): string {
  const value = properties[prefix + name]
  return typeof value === 'string' ? value : ''
}

/** `[0.0, 0.0, 0.0]`, as text. */
function numbers(properties: JsonObject, name: string): number[] | undefined {
  const found =
    text(properties, name)
      .match(/-?\d+(\.\d+)?/g)
      ?.map(Number) ?? []
  return found.length === 3 ? found : undefined
}

function assertOneLabel({ manifest = {}, properties = {}, path }: CustomVisionFiles): void {
  const domain = String(manifest['DomainType'] ?? 'Classification')
  const method = text(properties, 'Postprocess.Method')
  if (domain !== 'Classification' || /yolo|detection/i.test(method))
    throw new ModelError(
      `${path}: exported from a project for ${domain === 'Classification' ? method : domain}, not for classification`
    )
  if (/multilabel/i.test(method))
    throw new ModelError(
      `${path}: exported from a multilabel project (${method}); here one label of all is chosen: train it as multiclass`
    )
}

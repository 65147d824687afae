import { labelsFromJson } from '../labels/json.ts'
import { jsonOfPython } from '../labels/python.ts'
import type { Label } from '../../store/labels.ts'
import { ModelError } from '../../store/error.ts'
import { isObject, pixelFacts, type Companion } from './companion.ts'
import { readCustomVision } from './custom-vision.ts'
import { readTimm } from './timm.ts'

/** What exporters write into an ONNX file's `metadata_props`: Ultralytics, Custom Vision, timm, and labels by anybody. */
export function readOnnxMetadata(
  { metadata, outputs }: { metadata: ReadonlyMap<string, string>; outputs: string[] },
  path: string
): Companion {
  const labels = labelsIn(metadata, path)
  const { facts, ...rest } = writersOwn(metadata, path) ?? byOutputs(outputs, path) ?? { facts: {} }
  return { ...rest, facts: { ...facts, ...(labels === undefined ? {} : { labels }) } }
}

function writersOwn(metadata: ReadonlyMap<string, string>, path: string): Companion | undefined {
  if (metadata.get('author') === 'Ultralytics' || metadata.get('description')?.startsWith('Ultralytics') === true)
    return readUltralytics(metadata, path)
  const timm = parse(metadata.get('pretrained_cfg'))
  if (isObject(timm)) return readTimm(timm, { path })
  return metadata.has('Image.BitmapPixelFormat') || metadata.has('Image.NominalPixelRange')
    ? readPixelFormat(metadata)
    : undefined
}

/** Custom Vision's older exports have no metadata, but name their outputs as no other tool does. */
function byOutputs(outputs: string[], path: string): Companion | undefined {
  return outputs.includes('classLabel') && outputs.includes('loss') ? readCustomVision({ path }) : undefined
}

/** Its transforms for classification: the shorter edge to `imgsz`, the middle of that, and 0 to 1. */
function readUltralytics(metadata: ReadonlyMap<string, string>, path: string): Companion {
  const task = metadata.get('task') ?? 'classify'
  if (task !== 'classify')
    throw new ModelError(
      `${path}: an Ultralytics model for the task "${task}"; only "classify" gives a picture one label`
    )
  const from = 'metadata of Ultralytics'
  const [height, width] = metadata.get('imgsz')?.match(/\d+/g)?.map(Number) ?? []
  return {
    facts: {
      ...(height && width ? { size: { value: { width, height }, from } } : {}),
      ...pixelFacts(
        {
          channels: 'RGB',
          fit: 'cover',
          cropFraction: 1,
          kernel: 'linear',
          scale: 1 / 255,
          mean: [0, 0, 0],
          std: [1, 1, 1]
        },
        from
      )
    },
    layout: 'NCHW'
  }
}

/** Windows ML's fields, which Custom Vision fills in: without them its own sample takes RGB and 0 to 1. */
function readPixelFormat(metadata: ReadonlyMap<string, string>): Companion {
  const range = metadata.get('Image.NominalPixelRange')
  return {
    facts: pixelFacts(
      {
        channels: metadata.get('Image.BitmapPixelFormat') === 'Bgr8' ? 'BGR' : 'RGB',
        fit: 'fill',
        cropFraction: 1,
        kernel: 'cubic',
        scale: range === 'NominalRange_0_255' ? 1 : 1 / 255,
        mean: [0, 0, 0],
        std: [1, 1, 1]
      },
      'metadata of Azure Custom Vision'
    )
  }
}

const labelKeys = ['names', 'id2label', 'labels', 'classes', 'class_names']

/** As JSON or as Python prints a list or dict; anything else under these names may be no labels at all. */
function labelsIn(metadata: ReadonlyMap<string, string>, path: string): { value: Label[]; from: string } | undefined {
  for (const key of labelKeys) {
    const text = metadata.get(key)
    if (text === undefined) continue
    const value = parse(text) ?? parse(jsonOfPython(text))
    if (isObject(value) || Array.isArray(value))
      return { value: labelsFromJson(value, path), from: `metadata "${key}"` }
  }
  return undefined
}

function parse(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text)
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

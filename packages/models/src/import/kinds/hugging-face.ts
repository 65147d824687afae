import type { Label } from '../../store/labels.ts'
import { labelsOfJson } from '../labels.ts'
import type { Facts, Size } from '../inspected.ts'
import { ModelError } from '../../store/error.ts'
import type { Preprocessing } from '../preprocessing.ts'
import { channelsIn, isObject, numberIn, pixelFacts, type Companion, type JsonObject } from './companion.ts'
import { readTimm } from './timm.ts'

/** PIL's numbers for its filters; 4 (box) and 5 (hamming) have no counterpart here. */
const kernels: Record<number, Preprocessing['kernel']> = { 0: 'nearest', 1: 'lanczos3', 2: 'linear', 3: 'cubic' }

/** These take a single number for `size` as the shortest edge, the others as both edges. */
const byShortestEdge = /^(CLIP|ConvNext|Levit|PoolFormer|MobileNetV[12]|MobileViT|Bit|ChineseCLIP|Dinov?2?)/i

interface File {
  values: JsonObject
  path: string
}

/** What `config.json` and `preprocessor_config.json` of a Hugging Face repository say. */
export function readHuggingFace(config: File | undefined, preprocessor: File | undefined): Companion {
  if (config !== undefined) assertClassifier(config)
  const timm = config?.values['pretrained_cfg']
  if (config !== undefined && isObject(timm)) return withLabels(readTimm(timm, config), config)
  const pixels = preprocessor === undefined ? {} : readPreprocessor(preprocessor)
  // Optimum names the dimensions of an export and fixes none: PyTorch's order is the rule.
  return withLabels({ facts: { ...sizeOf(config), ...pixels }, layout: 'NCHW', notes: notesOf(preprocessor) }, config)
}

export function isHuggingFace(config: JsonObject): boolean {
  return ['id2label', 'architectures', 'model_type', 'pretrained_cfg', 'transformers_version'].some(
    key => key in config
  )
}

function withLabels(companion: Companion, config: File | undefined): Companion {
  const labels = config && labelsOf(config)
  if (config === undefined || labels === undefined) return companion
  return { ...companion, facts: { ...companion.facts, labels: { value: labels, from: 'config.json' } } }
}

/** `LABEL_0` is what transformers makes up where nobody said a label. */
function labelsOf({ values, path }: File): Label[] | undefined {
  const named = values['id2label'] ?? values['label_names'] ?? values['label2id']
  if (named === undefined || named === null) return undefined
  const labels = labelsOfJson(named, path)
  return labels.every(({ label }, index) => label === `LABEL_${index}`) ? undefined : labels
}

function assertClassifier({ values, path }: File): void {
  const { architectures, problem_type: problem } = values
  const names = Array.isArray(architectures) ? architectures.map(String) : []
  const other = names.find(name => /For[A-Z]/.test(name) && !name.includes('ForImageClassification'))
  if (other !== undefined) throw new ModelError(`${path}: the model is ${other}, not one for image classification`)
  if (problem === 'multi_label_classification')
    throw new ModelError(
      `${path}: the model gives a picture several labels (multi_label_classification); here one label of all is chosen`
    )
}

function sizeOf(config: File | undefined): Facts {
  const side = config?.values['image_size']
  return typeof side === 'number' ? { size: { value: { width: side, height: side }, from: 'config.json' } } : {}
}

function readPreprocessor({ values, path }: File): Facts {
  const from = 'preprocessor_config.json'
  const { size, ...frame } = values['do_resize'] === false ? {} : frameOf(values, path)
  const kernel = kernels[numberIn(values, 'resample', path) ?? Number.NaN]
  const channels = values['do_flip_channel_order'] === true ? 'BGR' : 'RGB'
  return {
    ...(size === undefined ? {} : { size: { value: size, from } }),
    ...pixelFacts({ channels, kernel, ...frame, ...arithmeticOf(values, path) }, from)
  }
}

/** transformers computes (pixel · rescale_factor − mean) ÷ std, as a manifest does; two kinds add a step to it. */
function arithmeticOf(values: JsonObject, path: string): Pick<Partial<Preprocessing>, 'scale' | 'mean' | 'std'> {
  const scale = values['do_rescale'] === false ? 1 : (numberIn(values, 'rescale_factor', path) ?? 1 / 255)
  const mean = channelsIn(values, 'image_mean', path)
  const std = channelsIn(values, 'image_std', path)
  const offset = values['rescale_offset'] === true ? 1 : 0
  // MobileViT only turns the channels round, and has neither of these fields.
  const isPlain = values['do_normalize'] === false || (mean === undefined && 'do_flip_channel_order' in values)
  if (isPlain) return { scale, mean: [offset, offset, offset], std: [1, 1, 1] }
  if (mean === undefined || std === undefined) return { scale }
  // EfficientNet with `include_top` divides by the deviations a second time.
  const divisors = values['include_top'] === true ? std.map(value => value ** 2) : std
  return { scale, mean: mean.map(value => value + offset), std: divisors }
}

interface Frame extends Pick<Partial<Preprocessing>, 'fit' | 'cropFraction'> {
  size?: Size
}

/** What pictures are scaled to, and which middle part of that is kept. */
function frameOf(values: JsonObject, path: string): Frame {
  const scaled = edgesOf(values, 'size', path)
  const cropped = values['do_center_crop'] === true ? edgesOf(values, 'crop_size', path) : undefined
  const kind = String(values['image_processor_type'] ?? values['feature_extractor_type'] ?? '')
  if (scaled === undefined) return {}
  if (kind.startsWith('ConvNext')) return convNextFrame(scaled.shortest ?? scaled.width, values, path)
  if (cropped === undefined)
    return scaled.shortest === undefined ? { size: sizeFrom(scaled), fit: 'fill', cropFraction: 1 } : {}
  // Levit scales to 256/224 of the number that it is given, PoolFormer to 1/crop_pct of it.
  const factor = kind.startsWith('Levit') ? 224 / 256 : (numberIn(values, 'crop_pct', path) ?? 1)
  const side = scaled.shortest ?? scaled.width
  const fit = scaled.shortest === undefined ? 'fill' : 'cover'
  return { size: sizeFrom(cropped), fit, cropFraction: Math.min(1, cropped.width / Math.floor(side / factor)) }
}

/** From 384 pixels on it stretches, below it scales to 1/crop_pct and keeps the middle. */
function convNextFrame(side: number, values: JsonObject, path: string): Frame {
  const size = { width: side, height: side }
  if (side >= 384) return { size, fit: 'fill', cropFraction: 1 }
  const share = numberIn(values, 'crop_pct', path) ?? 224 / 256
  return { size, fit: 'cover', cropFraction: side / Math.floor(side / share) }
}

interface Edges extends Size {
  /** Where only the shorter edge is given; width and height are that then. */
  shortest?: number
}

function edgesOf(values: JsonObject, field: 'size' | 'crop_size', path: string): Edges | undefined {
  const given = values[field]
  if (typeof given === 'number') {
    const square = { width: given, height: given }
    const kind = String(values['image_processor_type'] ?? values['feature_extractor_type'] ?? '')
    return field === 'size' && byShortestEdge.test(kind) ? { ...square, shortest: given } : square
  }
  if (!isObject(given)) return undefined
  const shortest = numberIn(given, 'shortest_edge', `${path}: ${field}`)
  if (shortest !== undefined) return { width: shortest, height: shortest, shortest }
  const [width, height] = [
    numberIn(given, 'width', `${path}: ${field}`),
    numberIn(given, 'height', `${path}: ${field}`)
  ]
  return width === undefined || height === undefined ? undefined : { width, height }
}

function sizeFrom({ width, height }: Size): Size {
  return { width, height }
}

function notesOf(preprocessor: File | undefined): string[] {
  const resample = preprocessor?.values['resample']
  return resample === 4 || resample === 5
    ? [
        `preprocessor_config.json scales with PIL's ${resample === 4 ? 'box' : 'hamming'} filter, which is not available here`
      ]
    : []
}

import type { Input } from '../store/manifest.ts'

/** How pixels become a model's input, all but its size. */
export type Preprocessing = Omit<Input, 'width' | 'height'>

/** What nearly all ImageNet models are evaluated with: short side 256, centre crop of 224. */
const imageNetCrop = { fit: 'cover', cropFraction: 0.875, kernel: 'linear' } as const

/**
 * Keras' `load_img(target_size)` stretches and, unless told otherwise, takes the nearest pixel. So did `Image.resize` of PIL
 * before version 7, when the Flask and Keras recipe was written.
 */
const kerasResize = { fit: 'fill', cropFraction: 1, kernel: 'nearest' } as const

/** Means and deviations of ImageNet's training pictures, RGB in 0–1. */
const imageNetStatistics = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }

/** Neither shifted nor divided. */
export const identity = { mean: [0, 0, 0], std: [1, 1, 1] }

/**
 * The usual ways of preparing pixels. The `keras-*` ones are the three modes of `keras.applications.imagenet_utils`
 * `.preprocess_input`; `imagenet` is torchvision's.
 */
export const presets = {
  'keras-caffe': { channels: 'BGR', ...kerasResize, scale: 1, mean: [103.939, 116.779, 123.68], std: [1, 1, 1] },
  'keras-tf': { channels: 'RGB', ...kerasResize, scale: 1 / 127.5, mean: [1, 1, 1], std: [1, 1, 1] },
  'keras-torch': { channels: 'RGB', ...kerasResize, scale: 1 / 255, ...imageNetStatistics },
  imagenet: { channels: 'RGB', ...imageNetCrop, scale: 1 / 255, ...imageNetStatistics },
  unit: { channels: 'RGB', ...imageNetCrop, scale: 1 / 255, ...identity },
  raw: { channels: 'RGB', ...imageNetCrop, scale: 1, ...identity }
} satisfies Record<string, Preprocessing>

export type PresetName = keyof typeof presets

export const presetNames = Object.keys(presets) as PresetName[]

/**
 * Which of its three modes `keras.applications` uses for which models, by the start of the name that it gives them. Where a model
 * has layers that scale, those count and not its name; these are for MobileNetV3, EfficientNetV2 and ConvNeXt without them.
 */
const kerasModels: ReadonlyArray<readonly [RegExp, PresetName]> = [
  [/^resnet(50|101|152)v2/, 'keras-tf'],
  [/^(resnet(50|101|152)|vgg(16|19))/, 'keras-caffe'],
  [/^(mobilenet|inception|xception|nasnet)/, 'keras-tf'],
  [/^efficientnetv2/, 'keras-tf'],
  [/^(densenet|convnext)/, 'keras-torch']
]

/** What a model of `keras.applications` with this name usually wants, as a guess; undefined for any other name. */
export function usualOfKerasModel(name: string): { preset: PresetName; because: string } | undefined {
  const preset = kerasModels.find(([pattern]) => pattern.test(name.toLowerCase()))?.[1]
  return preset && { preset, because: `keras.applications prepares pictures so for ${name}` }
}

/** Facts of a model that takes pixels of 0-1; `from` says what tells that. */
export function unitPixels(from: string) {
  return { ...rawPixels(from), scale: { value: 1 / 255, from } }
}

/** Facts of a model that takes pixels as they are, 0-255; `from` says what tells that. */
export function rawPixels(from: string) {
  return {
    channels: { value: 'RGB' as const, from },
    scale: { value: 1, from },
    mean: { value: [...identity.mean], from },
    std: { value: [...identity.std], from }
  }
}

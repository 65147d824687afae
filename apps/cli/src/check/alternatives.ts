import type { Input, Manifest } from '@streamsight/models'
import { presets } from '@streamsight/models/preprocessing'

/** All that decides what a model answers to a picture, its weights aside. */
export interface Settings {
  input: Input
  activation: Manifest['output']['activation']
}

/** A setting that goes together, and what else it might be. */
export type Change = { part: Part; change: (settings: Settings) => Settings }
export type Part = 'channels' | 'scale, mean and std' | 'fit and crop' | 'kernel' | 'activation'

type Arithmetic = Pick<Input, 'scale' | 'mean' | 'std'>

const flat = (value: number): number[] => [value, value, value]

/** What models are trained with; each pair of means and deviations in both orders of colours. */
const arithmetics: Arithmetic[] = [
  { scale: 1, mean: flat(0), std: flat(1) },
  { scale: 1 / 255, mean: flat(0), std: flat(1) },
  { scale: 1 / 127.5, mean: flat(1), std: flat(1) },
  // Teachable Machine's in JavaScript, and that of EfficientNet-Lite.
  { scale: 1 / 127, mean: flat(1), std: flat(1) },
  { scale: 1, mean: flat(127), std: flat(128) },
  ...bothOrders(presets.imagenet),
  ...bothOrders(presets['keras-caffe']),
  // CIFAR-10's, in the two forms that tutorials have.
  ...bothOrders({ scale: 1 / 255, mean: [0.4914, 0.4822, 0.4465], std: [0.247, 0.2435, 0.2616] }),
  ...bothOrders({ scale: 1 / 255, mean: [0.4914, 0.4822, 0.4465], std: [0.2023, 0.1994, 0.201] }),
  // CLIP's.
  ...bothOrders({
    scale: 1 / 255,
    mean: [0.48145466, 0.4578275, 0.40821073],
    std: [0.26862954, 0.26130258, 0.27577711]
  })
]

function bothOrders({ scale, mean, std }: Arithmetic): Arithmetic[] {
  return [
    { scale, mean, std },
    { scale, mean: mean.toReversed(), std: std.toReversed() }
  ]
}

const frames: Array<Pick<Input, 'fit' | 'cropFraction'>> = [
  { fit: 'fill', cropFraction: 1 },
  { fit: 'cover', cropFraction: 1 },
  { fit: 'cover', cropFraction: 0.95 },
  { fit: 'cover', cropFraction: 0.9 },
  { fit: 'cover', cropFraction: 0.875 },
  { fit: 'fill', cropFraction: 0.875 }
]
const kernels = ['nearest', 'linear', 'cubic', 'lanczos3'] as const
const activations = ['softmax', 'logits'] as const

/**
 * Every alternative to each part. One sigmoid unit has no other activation: its graph gives one number.
 */
export function changesOf(part: Part, { activation }: Settings): Change[] {
  const inputs = (values: Array<Partial<Input>>): Change[] =>
    values.map(value => ({ part, change: settings => ({ ...settings, input: { ...settings.input, ...value } }) }))
  switch (part) {
    case 'channels':
      return inputs([{ channels: 'RGB' }, { channels: 'BGR' }])
    case 'scale, mean and std':
      return inputs(arithmetics)
    case 'fit and crop':
      return inputs(frames)
    case 'kernel':
      return inputs(kernels.map(kernel => ({ kernel })))
    case 'activation':
      return activation === 'sigmoid'
        ? []
        : activations.map(value => ({ part, change: settings => ({ ...settings, activation: value }) }))
  }
}

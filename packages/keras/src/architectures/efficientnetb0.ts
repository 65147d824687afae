import { type KerasLayer } from '../topology.ts'
import { createSketch, type Sketch } from './sketch.ts'

/** Kernel size, number of blocks and stride of the stages 1 to 7 (Tan and Le 2019, table 1). */
const stages = [
  [3, 1, 1],
  [3, 2, 2],
  [5, 2, 2],
  [3, 3, 2],
  [5, 3, 1],
  [5, 4, 2],
  [3, 1, 1]
] as const

/** Of ImageNet's pixels between 0 and 1. */
export const imageNetDeviations = [0.229, 0.224, 0.225]

/**
 * EfficientNetB0 as Keras builds it, from pixels of 0–255. Its ImageNet weights hold the deviations where the variances belong,
 * so that model divides by their roots once more: `dividesTwice`.
 */
export function efficientnetb0({ dividesTwice }: { dividesTwice: boolean }): readonly KerasLayer[] {
  const sketch = createSketch({ width: 224, height: 224 })
  const { add } = sketch
  const rescaled = add('Rescaling', 'rescaling', { from: sketch.input, scale: 1 / 255 })
  let last = add('Normalization', 'normalization', { from: rescaled })
  if (dividesTwice)
    last = add('Rescaling', 'rescaling_1', {
      from: last,
      scale: imageNetDeviations.map(deviation => 1 / Math.sqrt(deviation))
    })

  const padded = add('ZeroPadding2D', 'stem_conv_pad', {
    from: last,
    padding: [
      [0, 1],
      [0, 1]
    ]
  })
  last = convolve(sketch, {
    from: padded,
    conv: 'stem_conv',
    bn: 'stem_bn',
    kernel_size: 3,
    strides: 2,
    padding: 'valid'
  })
  last = add('Activation', 'stem_activation', { from: last, activation: 'swish' })
  stages.forEach(([kernelSize, blocks, stride], stage) => {
    for (let i = 0; i < blocks; i++) {
      const prefix = `block${stage + 1}${'abcd'[i] ?? ''}_`
      last = addBlock(sketch, {
        from: last,
        prefix,
        kernelSize,
        stride: i === 0 ? stride : 1,
        isFirst: i === 0,
        expands: stage > 0
      })
    }
  })
  const top = convolve(sketch, { from: last, conv: 'top_conv', bn: 'top_bn', kernel_size: 1 })
  sketch.addClassifier(add('Activation', 'top_activation', { from: top, activation: 'swish' }), 'predictions')
  return sketch.layers
}

interface Convolution {
  from: string
  conv: string
  bn: string
  className?: string
  kernel_size: number
  strides?: number
  padding?: string
}

/** Without a bias, and with batch normalization after it. */
function convolve({ add }: Sketch, { conv, bn, className = 'Conv2D', ...config }: Convolution): string {
  return add('BatchNormalization', bn, {
    from: add(className, conv, { padding: 'same', use_bias: false, ...config }),
    epsilon: 1e-3
  })
}

interface Block {
  from: string
  prefix: string
  kernelSize: number
  stride: number
  isFirst: boolean
  expands: boolean
}

/** 1 × 1 to more channels, depthwise, squeeze and excitation, 1 × 1 to fewer; all but a stage's first block add their input. */
function addBlock(sketch: Sketch, { from, prefix, kernelSize, stride, isFirst, expands }: Block): string {
  const { add } = sketch
  const activate = (from: string, name: string) => add('Activation', `${prefix}${name}`, { from, activation: 'swish' })

  const expanded = expands
    ? activate(
        convolve(sketch, { from, conv: `${prefix}expand_conv`, bn: `${prefix}expand_bn`, kernel_size: 1 }),
        'expand_activation'
      )
    : from
  const half = Math.floor(kernelSize / 2)
  // Every image that is halved has an even size at 224 × 224.
  const padded =
    stride === 1
      ? expanded
      : add('ZeroPadding2D', `${prefix}dwconv_pad`, {
          from: expanded,
          padding: [
            [half - 1, half],
            [half - 1, half]
          ]
        })
  const window = { kernel_size: kernelSize, strides: stride, padding: stride === 1 ? 'same' : 'valid' }
  const depthwise = convolve(sketch, {
    from: padded,
    className: 'DepthwiseConv2D',
    conv: `${prefix}dwconv`,
    bn: `${prefix}bn`,
    ...window
  })
  const excited = excite(sketch, activate(depthwise, 'activation'), prefix)
  const output = convolve(sketch, {
    from: excited,
    conv: `${prefix}project_conv`,
    bn: `${prefix}project_bn`,
    kernel_size: 1
  })
  return isFirst ? output : add('Add', `${prefix}add`, { from: [output, from] })
}

function excite({ add }: Sketch, from: string, prefix: string): string {
  const squeezed = add('GlobalAveragePooling2D', `${prefix}se_squeeze`, { from })
  const image = add('Reshape', `${prefix}se_reshape`, { from: squeezed, target_shape: [1, 1, -1] })
  const reduced = add('Conv2D', `${prefix}se_reduce`, {
    from: image,
    kernel_size: 1,
    padding: 'same',
    activation: 'swish'
  })
  const gate = add('Conv2D', `${prefix}se_expand`, {
    from: reduced,
    kernel_size: 1,
    padding: 'same',
    activation: 'sigmoid'
  })
  return add('Multiply', `${prefix}se_excite`, { from: [from, gate] })
}

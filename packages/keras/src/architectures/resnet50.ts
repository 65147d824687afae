import { type KerasLayer } from '../topology.ts'
import { createSketch, type Sketch } from './sketch.ts'

/** What the layers are called. A block's convolutions are 1, 2 and 3, and 0 the one on its shortcut. */
export interface Naming {
  stem: { conv: string; bn: string }
  part: (kind: 'conv' | 'bn', block: { stage: number; index: number }, position: 0 | 1 | 2 | 3) => string
  classifier: string
  epsilon: number
}

/** keras_applications up to 1.0.8 and its files of 2016: res2a_branch2a, bn2a_branch2a … fc1000. */
export const oldNaming: Naming = {
  stem: { conv: 'conv1', bn: 'bn_conv1' },
  part(kind, { stage, index }, position) {
    const branch = position === 0 ? 'branch1' : `branch2${letter(position - 1)}`
    return `${kind === 'conv' ? 'res' : 'bn'}${stage}${letter(index)}_${branch}`
  },
  classifier: 'fc1000',
  epsilon: 1e-3
}

/** Keras since then: conv2_block1_1_conv, conv2_block1_1_bn … predictions. */
export const newNaming: Naming = {
  stem: { conv: 'conv1_conv', bn: 'conv1_bn' },
  part: (kind, { stage, index }, position) => `conv${stage}_block${index + 1}_${position}_${kind}`,
  classifier: 'predictions',
  epsilon: 1.001e-5
}

/** Blocks in the stages 2 to 5 (He et al. 2015, table 1). */
const blocksPerStage = [3, 4, 6, 3]

export function resnet50(naming: Naming): readonly KerasLayer[] {
  const sketch = createSketch({ width: 224, height: 224 })
  const { add } = sketch
  const padded = add('ZeroPadding2D', 'conv1_pad', { from: sketch.input, padding: 3 })
  const conv = add('Conv2D', naming.stem.conv, { from: padded, kernel_size: 7, strides: 2 })
  const bn = add('BatchNormalization', naming.stem.bn, { from: conv, epsilon: naming.epsilon })
  const active = add('Activation', 'conv1_relu', { from: bn, activation: 'relu' })
  const pooled = add('ZeroPadding2D', 'pool1_pad', { from: active, padding: 1 })
  let last = add('MaxPooling2D', 'pool1_pool', { from: pooled, pool_size: 3, strides: 2 })
  blocksPerStage.forEach((blocks, i) => {
    for (let index = 0; index < blocks; index++) last = addBlock(sketch, { from: last, naming, stage: i + 2, index })
  })
  sketch.addClassifier(last, naming.classifier)
  return sketch.layers
}

interface Block {
  from: string
  naming: Naming
  stage: number
  index: number
}

/** 1 × 1, 3 × 3, 1 × 1. The first block of a stage has a convolution on its shortcut, and halves the image after stage 2. */
function addBlock({ add }: Sketch, { from, naming, stage, index }: Block): string {
  const strides = index === 0 && stage > 2 ? 2 : 1
  const name = (kind: 'conv' | 'bn', position: 0 | 1 | 2 | 3) => naming.part(kind, { stage, index }, position)

  function convolve(position: 0 | 1 | 2 | 3, config: { from: string; kernel_size: number; strides?: number }): string {
    const conv = add('Conv2D', name('conv', position), { padding: 'same', ...config })
    return add('BatchNormalization', name('bn', position), { from: conv, epsilon: naming.epsilon })
  }

  function activate(from: string): string {
    return add('Activation', `${from}/relu`, { from, activation: 'relu' })
  }

  const shortcut = index === 0 ? convolve(0, { from, kernel_size: 1, strides }) : from
  const first = activate(convolve(1, { from, kernel_size: 1, strides }))
  const second = activate(convolve(2, { from: first, kernel_size: 3 }))
  const third = convolve(3, { from: second, kernel_size: 1 })
  return activate(add('Add', `${third}/add`, { from: [shortcut, third] }))
}

function letter(index: number): string {
  return String.fromCharCode('a'.charCodeAt(0) + index)
}

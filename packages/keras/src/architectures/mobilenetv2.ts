import { type KerasLayer } from '../topology.ts'
import { createSketch, type Sketch } from './sketch.ts'

/** Strides of the blocks 0 to 16, and which of them add their input (Sandler et al. 2018, table 2): those that keep size and width. */
const strides = [1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1]
const residual = new Set([2, 4, 5, 7, 8, 9, 11, 12, 14, 15])

/** MobileNetV2 of any width (alpha) as Keras builds it. */
export function mobilenetv2(): readonly KerasLayer[] {
  const sketch = createSketch({ width: 224, height: 224 })
  const { add } = sketch
  const conv = add('Conv2D', 'Conv1', {
    from: sketch.input,
    kernel_size: 3,
    strides: 2,
    padding: 'same',
    use_bias: false
  })
  let last = add('ReLU', 'Conv1_relu', { from: normalize(sketch, conv, 'bn_Conv1'), max_value: 6 })
  strides.forEach((stride, index) => {
    last = addBlock(sketch, { from: last, index, stride })
  })
  const top = add('Conv2D', 'Conv_1', { from: last, kernel_size: 1, use_bias: false })
  const active = add('ReLU', 'out_relu', { from: normalize(sketch, top, 'Conv_1_bn'), max_value: 6 })
  sketch.addClassifier(active, 'predictions')
  return sketch.layers
}

function normalize({ add }: Sketch, from: string, name: string): string {
  return add('BatchNormalization', name, { from, epsilon: 1e-3 })
}

/** 1 × 1 to more channels, depthwise 3 × 3, 1 × 1 to fewer; block 0 begins with the second. */
function addBlock(sketch: Sketch, { from, index, stride }: { from: string; index: number; stride: number }): string {
  const { add } = sketch
  const prefix = index === 0 ? 'expanded_conv' : `block_${index}`

  function expand(): string {
    const conv = add('Conv2D', `${prefix}_expand`, { from, kernel_size: 1, padding: 'same', use_bias: false })
    return add('ReLU', `${prefix}_expand_relu`, { from: normalize(sketch, conv, `${prefix}_expand_BN`), max_value: 6 })
  }

  const expanded = index === 0 ? from : expand()
  // Every image that is halved has an even size at 224 × 224: one row and one column of padding, below and to the right.
  const padded =
    stride === 1
      ? expanded
      : add('ZeroPadding2D', `${prefix}_pad`, {
          from: expanded,
          padding: [
            [0, 1],
            [0, 1]
          ]
        })
  const depthwise = add('DepthwiseConv2D', `${prefix}_depthwise`, {
    from: padded,
    kernel_size: 3,
    strides: stride,
    padding: stride === 1 ? 'same' : 'valid',
    use_bias: false
  })
  const active = add('ReLU', `${prefix}_depthwise_relu`, {
    from: normalize(sketch, depthwise, `${prefix}_depthwise_BN`),
    max_value: 6
  })
  const project = add('Conv2D', `${prefix}_project`, { from: active, kernel_size: 1, padding: 'same', use_bias: false })
  const output = normalize(sketch, project, `${prefix}_project_BN`)
  return residual.has(index) ? add('Add', `${prefix}_add`, { from: [from, output] }) : output
}

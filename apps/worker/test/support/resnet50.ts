import { createOnnxGraph } from './onnx.ts'

/** Blocks and inner width of the four stages; a block ends four times as wide. */
const stages = [
  { blocks: 3, width: 64 },
  { blocks: 4, width: 128 },
  { blocks: 6, width: 256 },
  { blocks: 3, width: 512 }
]

/** A convolution's weights are drawn so that they multiply the variance of what they see by `gain`. */
interface Conv {
  inputs: number
  outputs: number
  kernel: number
  stride?: number
  gain: number
}

/**
 * An ONNX file of ResNet-50's shape (v1.5, batch norm folded: 53 convolutions, 25.5 million parameters, 4.1 billion
 * multiply-adds an image) with random weights: it takes the time that the real one takes and says nothing sensible.
 * Input `input` [N, 3, 224, 224] float32, output `probabilities` [N, classes].
 */
export function resnet50Onnx({ classes = 1_000, seed = 1 }: { classes?: number; seed?: number } = {}): Uint8Array {
  const graph = createOnnxGraph()
  const random = createRandom(seed)

  let x = relu(conv('input', { inputs: 3, outputs: 64, kernel: 7, stride: 2, gain: 2 }))
  x = graph.node('MaxPool', [x], { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] })
  let channels = 64
  for (const [stage, { blocks, width }] of stages.entries()) {
    for (let block = 0; block < blocks; block++) {
      x = bottleneck(x, { inputs: channels, width, stride: stage > 0 && block === 0 ? 2 : 1 })
      channels = 4 * width
    }
  }
  x = graph.node('Flatten', [graph.node('GlobalAveragePool', [x])])
  const dense = graph.weight('float32', [channels, classes], uniform(channels * classes, 1 / channels))
  x = graph.node('Gemm', [x, dense, graph.weight('float32', [classes], new Float32Array(classes))])
  graph.node('Softmax', [x], { axis: 1 }, 'probabilities')
  return graph.toBytes({
    inputs: [{ name: 'input', type: 'float32', dims: ['N', 3, 224, 224] }],
    outputs: [{ name: 'probabilities', type: 'float32', dims: ['N', classes] }]
  })

  /** The branch adds a tenth of the variance, so that sixteen blocks in a row stay far from infinity. */
  function bottleneck(x: string, { inputs, width, stride }: { inputs: number; width: number; stride: number }): string {
    const outputs = 4 * width
    const narrow = relu(conv(x, { inputs, outputs: width, kernel: 1, gain: 2 }))
    const middle = relu(conv(narrow, { inputs: width, outputs: width, kernel: 3, stride, gain: 2 }))
    const branch = conv(middle, { inputs: width, outputs, kernel: 1, gain: 0.1 })
    const shortcut = inputs === outputs ? x : conv(x, { inputs, outputs, kernel: 1, stride, gain: 1 })
    return relu(graph.node('Add', [branch, shortcut]))
  }

  function conv(x: string, { inputs, outputs, kernel, stride = 1, gain }: Conv): string {
    const fanIn = inputs * kernel * kernel
    const weights = graph.weight('float32', [outputs, inputs, kernel, kernel], uniform(outputs * fanIn, gain / fanIn))
    const bias = graph.weight('float32', [outputs], new Float32Array(outputs))
    const pad = (kernel - 1) / 2
    return graph.node('Conv', [x, weights, bias], {
      kernel_shape: [kernel, kernel],
      strides: [stride, stride],
      pads: [pad, pad, pad, pad]
    })
  }

  function relu(x: string): string {
    return graph.node('Relu', [x])
  }

  function uniform(length: number, variance: number): Float32Array<ArrayBuffer> {
    const bound = Math.sqrt(3 * variance)
    return new Float32Array(length).map(() => bound * random())
  }
}

/** Numbers in [−1, 1), the same for the same seed: mulberry32. */
export function createRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x80000000 - 1
  }
}

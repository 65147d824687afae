import { KerasError } from '../error.ts'
import { type Layer, type Operation } from '../ir.ts'
import { createOptions, describeLayer } from '../options.ts'
import { isConfig } from '../config.ts'
import { addAffine, addSimple, onlyInput, type Build, type Builder } from './builder.ts'

export function activation(build: Build): Layer {
  return addActivation(build, onlyInput(build))
}

/** What the layer's setting `activation` says, after `input`. */
export function addActivation(build: Build, input: Layer): Layer {
  const value = build.options.get('activation')
  // In Keras 3 an activation can be a whole layer, such as LeakyReLU.
  const { class_name: className, config } = isConfig(value) ? value : {}
  const builder = activationLayers.get(String(className))
  if (builder === undefined || !isConfig(config))
    return addFunction(build, input, String(config ?? className ?? value ?? 'linear'))
  const layer = { ...build.layer, config }
  return builder({ ...build, layer, options: createOptions(layer), inputs: [input] })
}

/**
 * Keras' ReLU has three settings: `max_value` above, `negative_slope` below `threshold`:
 * max for x ≥ max, x for threshold ≤ x < max, slope · (x − threshold) below.
 */
export function relu(build: Build): Layer {
  const { options } = build
  const input = onlyInput(build)
  const max = options.number('max_value', Infinity)
  const slope = options.number('negative_slope', 0)
  const threshold = options.number('threshold', 0)
  if (threshold === 0 && slope === 0) return addSimple(build, input, { kind: 'relu', max })
  const open =
    threshold === 0
      ? addSimple(build, input, { kind: 'leakyRelu', slope })
      : addThresholded(build, input, { threshold, slope })
  return max === Infinity ? open : addCeiling(build, open, max)
}

export function leakyRelu(build: Build): Layer {
  return addSimple(build, onlyInput(build), {
    kind: 'leakyRelu',
    slope: build.options.number('negative_slope', build.options.number('alpha', 0.3))
  })
}

export function thresholdedRelu(build: Build): Layer {
  return addSimple(build, onlyInput(build), { kind: 'thresholdedRelu', threshold: build.options.number('theta', 1) })
}

/** x, or alpha · x below 0, with an alpha for each channel, or even for each position. */
export function prelu(build: Build): Layer {
  const input = onlyInput(build)
  const shared = [build.options.get('shared_axes') ?? []].flat().map(Number)
  // Keras counts the batch as axis 0.
  const shape = input.shape.map((size, i) => (shared.includes(i + 1) ? 1 : size))
  const slope = build.weight('alpha', shape).data
  return addSimple(build, input, { kind: 'prelu', slope, slopeShape: shape })
}

/** x, or alpha · (eˣ − 1) below 0. TensorFlow.js knows only an alpha of 1: the others are alpha · elu + (1 − alpha) · relu. */
export function elu(build: Build): Layer {
  const input = onlyInput(build)
  const alpha = build.options.number('alpha', 1)
  const plain = addSimple(build, input, { kind: 'elementwise', function: 'elu' })
  if (alpha === 1) return plain
  const below = addAffine(build, plain, { scale: alpha, offset: 0 })
  const above = addAffine(build, addSimple(build, input, { kind: 'relu', max: Infinity }), {
    scale: 1 - alpha,
    offset: 0
  })
  return build.add({ operation: { kind: 'add' }, inputs: [below, above], shape: input.shape })
}

export function softmax(build: Build): Layer {
  const input = onlyInput(build)
  build.options.assertLastAxis(input.shape.length)
  return addSimple(build, input, { kind: 'softmax' })
}

const activationLayers: ReadonlyMap<string, Builder> = new Map([
  ['ReLU', relu],
  ['LeakyReLU', leakyRelu],
  ['ThresholdedReLU', thresholdedRelu],
  ['ELU', elu],
  ['Softmax', softmax]
])

/** `relu6`, `hard_sigmoid`; TensorFlow.js writes some of them as `hardSigmoid`. */
export function addFunction(build: Build, input: Layer, name: string): Layer {
  const plain = name.toLowerCase().replaceAll('_', '')
  const simple = simpleFunctions.get(plain)
  if (simple !== undefined) return addSimple(build, input, simple)
  if (plain === 'linear') return input
  if (plain === 'hardsigmoid') return addHardSigmoid(build, input, build.kerasVersion >= 3 ? 1 / 6 : 0.2)
  if (plain === 'hardswish' || plain === 'hardsilu') {
    const gate = addHardSigmoid(build, input, 1 / 6)
    return build.add({ operation: { kind: 'multiply' }, inputs: [input, gate], shape: input.shape })
  }
  if (plain === 'gelutanh' || plain === 'gelunew') return addGeluTanh(build, input)
  throw new KerasError(
    `${describeLayer(build.layer)}: activation "${name}" is not supported; ` +
      `those that are: linear, hard_sigmoid, hard_swish, ${[...simpleFunctions.keys()].join(', ')}`
  )
}

const simpleFunctions: ReadonlyMap<string, Operation> = new Map<string, Operation>([
  ['relu', { kind: 'relu', max: Infinity }],
  ['relu6', { kind: 'relu', max: 6 }],
  ['leakyrelu', { kind: 'leakyRelu', slope: 0.2 }],
  ['elu', { kind: 'elementwise', function: 'elu' }],
  ['softmax', { kind: 'softmax' }],
  ['sigmoid', { kind: 'elementwise', function: 'sigmoid' }],
  ['tanh', { kind: 'elementwise', function: 'tanh' }],
  ['swish', { kind: 'elementwise', function: 'swish' }],
  ['silu', { kind: 'elementwise', function: 'swish' }],
  ['selu', { kind: 'elementwise', function: 'selu' }],
  ['softplus', { kind: 'elementwise', function: 'softplus' }],
  ['softsign', { kind: 'elementwise', function: 'softsign' }],
  ['gelu', { kind: 'elementwise', function: 'gelu' }],
  ['mish', { kind: 'elementwise', function: 'mish' }],
  ['logsoftmax', { kind: 'logSoftmax' }]
])

/** slope · x + ½, between 0 and 1. */
function addHardSigmoid(build: Build, input: Layer, slope: number): Layer {
  return addSimple(build, addAffine(build, input, { scale: slope, offset: 0.5 }), { kind: 'relu', max: 1 })
}

/** The usual approximation of gelu: x · (½ + ½ · tanh(√(2 ÷ π) · (x + 0.044715 · x³))). */
function addGeluTanh(build: Build, input: Layer): Layer {
  const slope = Math.sqrt(2 / Math.PI)
  const times = (a: Layer, b: Layer) =>
    build.add({ operation: { kind: 'multiply' }, inputs: [a, b], shape: input.shape })
  const factor = addAffine(build, times(input, input), { scale: 0.044715 * slope, offset: slope })
  const bent = addSimple(build, times(input, factor), { kind: 'elementwise', function: 'tanh' })
  return times(input, addAffine(build, bent, { scale: 0.5, offset: 0.5 }))
}

/** The smaller of x and `max`, as max − relu(max − x): every format has these. */
function addCeiling(build: Build, input: Layer, max: number): Layer {
  const excess = addSimple(build, addAffine(build, input, { scale: -1, offset: max }), { kind: 'relu', max: Infinity })
  return addAffine(build, excess, { scale: -1, offset: max })
}

/** x from the threshold on, slope · (x − threshold) below it. */
function addThresholded(build: Build, input: Layer, { threshold, slope }: { threshold: number; slope: number }): Layer {
  const above = addSimple(build, input, { kind: 'thresholdedRelu', threshold })
  if (slope === 0) return above
  const depth = addSimple(build, addAffine(build, input, { scale: -1, offset: threshold }), {
    kind: 'relu',
    max: Infinity
  })
  const below = addAffine(build, depth, { scale: -slope, offset: 0 })
  return build.add({ operation: { kind: 'add' }, inputs: [above, below], shape: input.shape })
}

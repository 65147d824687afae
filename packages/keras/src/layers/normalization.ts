import { channelsOf, type Layer } from '../ir.ts'
import { addAffine, addSimple, onlyInput, type Build } from './builder.ts'

/** gamma · (x − mean) ÷ √(variance + epsilon) + beta, with the moving mean and variance. */
export function batchNormalization(build: Build): Layer {
  const { options, weight } = build
  const input = onlyInput(build)
  const channels = channelsOf(input.shape)
  options.assertLastAxis(input.shape.length)
  const gamma = options.flag('scale', true) ? weight('gamma', [channels]).data : new Float32Array(channels).fill(1)
  const beta = options.flag('center', true) ? weight('beta', [channels]).data : new Float32Array(channels)
  const mean = weight('moving_mean', [channels]).data
  const variance = weight('moving_variance', [channels]).data
  const epsilon = options.number('epsilon', 1e-3)

  const scale = Float64Array.from(gamma, (value, i) => value / Math.sqrt((variance[i] ?? 0) + epsilon))
  const offset = Float64Array.from(beta, (value, i) => value - (mean[i] ?? 0) * (scale[i] ?? 0))
  return addAffine(build, input, { scale, offset })
}

/** (x − mean) ÷ √variance, with the statistics among the weights or given as settings. */
export function normalization(build: Build): Layer {
  const { options } = build
  const input = onlyInput(build)
  const channels = channelsOf(input.shape)
  if (options.flag('invert', false)) options.refuse('invert', 'only false is supported')
  const mean = statistic(build, 'mean', channels)
  const variance = statistic(build, 'variance', channels)

  // Keras divides by no less than its epsilon, 1e-7.
  const scale = variance.map(value => 1 / Math.max(Math.sqrt(value), 1e-7))
  const offset = mean.map((value, i) => -value * (scale[i] ?? 0))
  return addAffine(build, input, { scale, offset })
}

function statistic(build: Build, kind: 'mean' | 'variance', channels: number): Float64Array {
  const { options, weight, layer } = build
  if (options.get(kind) !== undefined) return options.perChannel(kind, channels)
  // Without an axis Keras keeps a single number for the whole image.
  if (layer.config['axis'] === null) return new Float64Array(channels).fill(weight(kind, []).data[0] ?? Number.NaN)
  options.assertLastAxis(onlyInput(build).shape.length)
  return Float64Array.from(weight(kind, [channels]).data)
}

export function rescaling(build: Build): Layer {
  const { options } = build
  const input = onlyInput(build)
  const channels = channelsOf(input.shape)
  const offset = options.get('offset') === undefined ? 0 : options.perChannel('offset', channels)
  return addAffine(build, input, { scale: options.perChannel('scale', channels), offset })
}

/** Over the last axis; what is learned can be left out, each part by itself. */
export function layerNormalization(build: Build): Layer {
  const { options, weight } = build
  const input = onlyInput(build)
  const channels = channelsOf(input.shape)
  options.assertLastAxis(input.shape.length)
  if (options.flag('rms_scaling', false)) options.refuse('rms_scaling', 'only false is supported')
  const scale = options.flag('scale', true) ? weight('gamma', [channels]).data : new Float32Array(channels).fill(1)
  const offset = options.flag('center', true) ? weight('beta', [channels]).data : new Float32Array(channels)
  return addSimple(build, input, {
    kind: 'layerNormalization',
    scale,
    offset,
    epsilon: options.number('epsilon', 1e-3)
  })
}

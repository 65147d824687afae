import { channelsOf, sizeOf, type Layer, type Shape } from '../ir.ts'
import { onlyInput, type Build } from './builder.ts'

export function reshape(build: Build): Layer {
  const { options } = build
  const input = onlyInput(build)
  const target = [options.get('target_shape')].flat()
  if (!target.every(size => Number.isSafeInteger(size)))
    options.refuse('target_shape', 'a list of whole numbers is expected')
  const shape = completed(target as number[], sizeOf(input.shape))
  if (sizeOf(shape) !== sizeOf(input.shape))
    options.refuse('target_shape', `the input has ${sizeOf(input.shape)} values`)
  return addReshape(build, input, shape)
}

export function flatten(build: Build): Layer {
  build.options.assertChannelsLast()
  const input = onlyInput(build)
  return addReshape(build, input, [sizeOf(input.shape)])
}

/** A layer that does something only in training. */
export function passThrough(build: Build): Layer {
  return onlyInput(build)
}

/** As merging layers do with inputs of fewer axes: [channels] is [1, 1, channels] to an image. */
export function withRank(build: Build, input: Layer, rank: number): Layer {
  if (input.shape.length === rank) return input
  const missing = Array.from({ length: rank - input.shape.length }, () => 1)
  return addReshape(build, input, [...missing, ...input.shape.slice(0, -1), channelsOf(input.shape)])
}

function addReshape(build: Build, input: Layer, shape: Shape): Layer {
  return build.add({ operation: { kind: 'reshape' }, inputs: [input], shape })
}

/** At most one size may be −1: what the others leave. */
function completed(target: readonly number[], size: number): number[] {
  const known = target.filter(size => size !== -1)
  return target.map(value => (value === -1 ? size / sizeOf(known) : value))
}

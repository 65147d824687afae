import { KerasError } from './error.ts'
import { type Pair, type Padding } from './ir.ts'
import { isConfig } from './config.ts'
import { type KerasLayer } from './topology.ts'

export type Options = ReturnType<typeof createOptions>

/** A layer's settings, each with Keras' default where the configuration leaves it out. Errors name the layer and the field. */
export function createOptions(layer: KerasLayer) {
  const get = (field: string): unknown => layer.config[field] ?? undefined

  function refuse(field: string, expected: string): never {
    throw new KerasError(`${describeLayer(layer)}: "${field}" is ${JSON.stringify(get(field))}: ${expected}`)
  }

  function number(field: string, fallback: number): number {
    const value = unwrap(get(field)) ?? fallback
    return typeof value === 'number' ? value : refuse(field, 'a number is expected')
  }

  /** Keras 2 and Keras 3 write a single number or a list of two. */
  function pair(field: string, fallback: Pair): Pair {
    const value = get(field) ?? fallback
    const [first, second] = typeof value === 'number' ? [value, value] : Array.isArray(value) ? value : []
    return isCount(first) && isCount(second)
      ? [first, second]
      : refuse(field, 'one or two whole numbers from 1 are expected')
  }

  return {
    get,
    refuse,
    number,
    pair,

    flag(field: string, fallback: boolean): boolean {
      const value = get(field) ?? fallback
      return typeof value === 'boolean' ? value : refuse(field, 'true or false is expected')
    },

    padding(): Padding {
      const value = String(get('padding') ?? 'valid').toLowerCase()
      return value === 'same' || value === 'valid' ? value : refuse('padding', 'only same and valid are supported')
    },

    /** One number for all channels, or a list with one for each, however deeply nested. */
    perChannel(field: string, channels: number): Float64Array {
      const values = numbersIn(get(field))
      if (values.length !== 1 && values.length !== channels) refuse(field, `1 or ${channels} numbers are expected`)
      return Float64Array.from({ length: channels }, (_, i) => values[i % values.length] ?? Number.NaN)
    },

    assertChannelsLast(): void {
      const format = get('data_format') ?? 'channels_last'
      if (format !== 'channels_last') refuse('data_format', 'only channels_last is supported')
    },

    /** Keras counts the batch as axis 0. */
    assertLastAxis(rank: number): void {
      const axes = [get('axis') ?? -1].flat()
      if (axes.length !== 1 || (axes[0] !== -1 && axes[0] !== rank))
        refuse('axis', 'only the last axis, the channels, is supported')
    }
  }
}

export function describeLayer({ path, className }: KerasLayer): string {
  return `layer "${path.join('/')}" (${className})`
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0
}

/** Keras writes a numpy scalar or array as an object with its value inside. */
function unwrap(value: unknown): unknown {
  return isConfig(value) ? unwrap(isConfig(value['config']) ? value['config']['value'] : value['value']) : value
}

/** Every number in a value, however deeply nested. */
export function numbersIn(value: unknown): number[] {
  const plain = unwrap(value)
  if (Array.isArray(plain)) return plain.flatMap(numbersIn)
  return typeof plain === 'number' ? [plain] : []
}

import type { Facts, PixelFacts } from './inspected.ts'
import { identity, presets, type Preprocessing, type PresetName } from './preprocessing.ts'
import { flags, type Setting } from './settings.ts'

export type PixelSettings = { [Name in keyof Preprocessing]: Setting<Preprocessing[Name]> }

/** What a person says of how pixels are prepared: all of it, single settings, or nothing. */
export interface PixelStatements {
  preprocessing?: PresetName | undefined
  overrides?: Partial<Preprocessing> | undefined
}

/** Each setting by itself: a flag of its own, then `--preprocessing`, then the file, then what such models usually want. */
export function choosePixels(
  facts: Facts,
  { preprocessing, overrides = {} }: PixelStatements,
  usual: { preset: PresetName; because: string }
): PixelSettings {
  const pixelFacts: PixelFacts = facts
  const usualPreset: Preprocessing = presets[usual.preset]
  const stated: Partial<Preprocessing> = preprocessing === undefined ? {} : presets[preprocessing]
  const arithmetic = usualArithmetic(overrides, facts, usualPreset)
  const fit = settle('fit', usualPreset.fit)
  return {
    channels: settle('channels', usualPreset.channels),
    fit,
    cropFraction: cropOf(fit, settle('cropFraction', usualPreset.cropFraction), overrides),
    kernel: settle('kernel', usualPreset.kernel),
    scale: settle('scale', arithmetic.scale),
    mean: settle('mean', arithmetic.mean),
    std: settle('std', arithmetic.std)
  }

  function settle<Name extends keyof Preprocessing>(
    name: Name,
    assumed: Preprocessing[Name]
  ): Setting<Preprocessing[Name]> {
    const byFlag: Preprocessing[Name] | undefined = overrides[name]
    if (byFlag !== undefined) return { value: byFlag, source: 'given', from: flags[name] }
    const byPreset: Preprocessing[Name] | undefined = stated[name]
    if (byPreset !== undefined) return { value: byPreset, source: 'given', from: `--preprocessing ${preprocessing}` }
    const read = pixelFacts[name]
    return read === undefined ? { value: assumed, source: 'assumed', from: usual.because } : { ...read, source: 'read' }
  }
}

/** A preset's crop belongs to its fit: to another fit that somebody gave, or that a file names, nothing is cropped away. */
function cropOf(
  fit: Setting<Preprocessing['fit']>,
  crop: Setting<number>,
  overrides: Partial<Preprocessing>
): Setting<number> {
  const own = overrides.cropFraction !== undefined || crop.source === 'read'
  const fitAlone = overrides.fit !== undefined || (fit.source === 'read' && crop.source === 'assumed')
  if (own || !(fitAlone || fit.value === 'fill')) return crop
  return { value: 1, source: fit.source, from: `${fit.from}, with nothing cropped away` }
}

/** Scale, mean and std go together: beside one that is known, a preset's others would be numbers without sense. */
function usualArithmetic(
  { scale, mean, std }: Partial<Preprocessing>,
  facts: Facts,
  preset: Preprocessing
): Pick<Preprocessing, 'scale' | 'mean' | 'std'> {
  if (scale !== undefined || facts.scale !== undefined) return { scale: scale ?? preset.scale, ...identity }
  const known = mean ?? std ?? facts.mean?.value ?? facts.std?.value
  if (known === undefined) return preset
  // Means and deviations of pixels in 0-1 never exceed 1.
  return { ...identity, scale: known.every(value => value <= 1) ? 1 / 255 : 1 }
}

import type { Part, Settings } from './alternatives.ts'
import { changesOf } from './alternatives.ts'
import type { Difference } from './difference.ts'

/** What the settings would have to be, and how far answers are off then. */
export interface Explanation {
  settings: Settings
  parts: Part[]
}

/** How far settings are from what was expected, on few pictures. */
export type Measure = (settings: Settings) => Promise<Difference>

/** What decides together is tried together: with the wrong scale, the right channels look no better than the wrong ones. */
const groups: Part[][] = [
  ['channels', 'scale, mean and std', 'activation'],
  ['fit and crop', 'kernel']
]

/** Less of an improvement in one round is chance, and less of all rounds explains nothing. */
const worthwhile = 0.9
const explains = 0.7

/**
 * Looks for settings with which the answers come nearer to the expected ones: all combinations of what concerns numbers, then all
 * of what concerns geometry, until neither helps. What changes nothing by itself is put back. Undefined if nothing helps.
 */
export async function explain(start: Settings, measureAnew: Measure): Promise<Explanation | undefined> {
  const measure = remembering(measureAnew)
  let best = { settings: start, mean: (await measure(start)).mean }
  const startMean = best.mean
  for (let improved = true; improved;) {
    const before = best.mean
    for (const group of groups) best = await bestOf(group, best, measure)
    improved = best.mean < before * worthwhile && best.mean > 1e-6
  }
  if (best.mean > startMean * explains) return undefined
  const settings = await simplest(start, best, measure)
  const parts = changedParts(start, settings)
  return parts.length === 0 ? undefined : { settings, parts }
}

/** The rounds, and the parts within one, come by the same settings again. */
function remembering(measure: Measure): Measure {
  const known = new Map<string, Promise<Difference>>()
  return settings => {
    const key = JSON.stringify(settings)
    const difference = known.get(key) ?? measure(settings)
    known.set(key, difference)
    return difference
  }
}

interface Candidate {
  settings: Settings
  mean: number
}

async function bestOf(group: Part[], start: Candidate, measure: Measure): Promise<Candidate> {
  let best = start
  for (const settings of combinations(group, start.settings)) {
    const { mean } = await measure(settings)
    // Of two that are alike, the one that is there already stays.
    if (mean < best.mean * 0.999 - 1e-9) best = { settings, mean }
  }
  return best
}

function combinations(group: Part[], start: Settings): Settings[] {
  return group.reduce(
    (all, part) => [...all, ...all.flatMap(settings => changesOf(part, start).map(({ change }) => change(settings)))],
    [start]
  )
}

/** What is left then is noise, such as that of another JPEG decoder: a part that changes no more than that is put back. */
const noise = 1.5

/** Puts back each part that makes no difference to speak of. */
async function simplest(start: Settings, best: Candidate, measure: Measure): Promise<Settings> {
  let { settings } = best
  for (const part of changedParts(start, settings)) {
    const without = restore(part, settings, start)
    const { mean } = await measure(without)
    if (mean <= best.mean * noise + 1e-6) settings = without
  }
  return settings
}

const fields = {
  channels: ['channels'],
  'scale, mean and std': ['scale', 'mean', 'std'],
  'fit and crop': ['fit', 'cropFraction'],
  kernel: ['kernel']
} as const

/** The settings of an input that each part consists of. */
export function fieldsOf(part: Part): readonly (keyof Settings['input'])[] {
  return part === 'activation' ? [] : fields[part]
}

function changedParts(start: Settings, settings: Settings): Part[] {
  return groups.flat().filter(part => {
    if (part === 'activation') return start.activation !== settings.activation
    return fieldsOf(part).some(field => String(start.input[field]) !== String(settings.input[field]))
  })
}

function restore(part: Part, settings: Settings, start: Settings): Settings {
  if (part === 'activation') return { ...settings, activation: start.activation }
  const old = Object.fromEntries(fieldsOf(part).map(field => [field, start.input[field]]))
  return { ...settings, input: { ...settings.input, ...old } }
}

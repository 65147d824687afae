import type { Label } from '../store/labels.ts'
import type { Artifact } from '../store/manifest.ts'
import type { Activation, Size } from './inspected.ts'
import type { Preprocessing } from './preprocessing.ts'

/** Where a setting comes from: the model's own files, the person who imports it, or neither. */
export type Source = 'read' | 'given' | 'assumed'

/** A setting; `from` says in words which part of a file, which flag or which habit it comes from. */
export interface Setting<Value> {
  value: Value
  source: Source
  from: string
}

/** What a file says of one setting, and which part of it does. */
export interface Known<Value> {
  value: Value
  from: string
}

/** Every setting of an import that answers depend on. */
export interface SettingValues extends Preprocessing {
  size: Size
  layout: Artifact['layout']
  /** The graph's output that holds the scores, where it has several. */
  output: string
  activation: Activation
  classes: number
  labels: Label[]
}
export type SettingName = keyof SettingValues
export type Settings = { [Name in Exclude<SettingName, 'output'>]: Setting<SettingValues[Name]> } & {
  output?: Setting<string> | undefined
}

/** The flag that gives each setting, in the order in which a report lists them. */
export const flags: Record<SettingName, string> = {
  size: '--size',
  layout: '--layout',
  output: '--output',
  activation: '--activation',
  classes: '--labels',
  labels: '--labels',
  channels: '--channels',
  fit: '--fit',
  cropFraction: '--crop-fraction',
  kernel: '--kernel',
  scale: '--scale',
  mean: '--mean',
  std: '--std'
}
export const settingNames = Object.keys(flags) as SettingName[]

/** A setting's value as a report shows it, in the form that its flag takes. */
const shown: { [Name in SettingName]: (value: SettingValues[Name]) => string } = {
  size: ({ width, height }) => `${width}x${height}`,
  layout: String,
  output: String,
  activation: String,
  classes: String,
  labels: labels => `${labels[0]?.label ?? ''}, ${labels.length === 2 ? '' : '…, '}${labels.at(-1)?.label ?? ''}`,
  channels: String,
  fit: String,
  cropFraction: String,
  kernel: String,
  scale: scale => (scale !== 0 && scale < 1 ? `1/${Number((1 / scale).toPrecision(6))}` : String(scale)),
  mean: String,
  std: String
}

/** One line of a report. */
export interface ShownSetting {
  name: SettingName
  value: string
  source: Source
  from: string
}

/** Every setting of an import as a report shows it. */
export function showSettings(settings: Settings): ShownSetting[] {
  return settingNames.flatMap(name => {
    const shownValue = show(name, settings)
    const setting = settings[name]
    return shownValue === undefined || setting === undefined
      ? []
      : [{ name, value: shownValue, source: setting.source, from: setting.from }]
  })
}

function show<Name extends SettingName>(name: Name, settings: Settings): string | undefined {
  const setting = settings[name] as Setting<SettingValues[Name]> | undefined
  return setting === undefined ? undefined : shown[name](setting.value)
}

/** Names of the settings that nobody said and no file told; a manifest keeps them. */
export function assumedNames(settings: Settings): SettingName[] {
  return settingNames.filter(name => settings[name]?.source === 'assumed')
}

/** The first that is known: given by a person, else read from a file. */
export function choose<Value>(
  given: { value: Value | undefined; from: string },
  read: Known<Value> | undefined
): Setting<Value> | undefined {
  if (given.value !== undefined) return { value: given.value, source: 'given', from: given.from }
  return read === undefined ? undefined : { ...read, source: 'read' }
}

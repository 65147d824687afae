import { join } from 'node:path'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { presetNames, presets, type PresetName, type Preprocessing } from '@streamsight/models/preprocessing'
import type { ImportOptions } from '@streamsight/models/import'
import type { Context } from './context.ts'
import { modelsDirOption } from './folders.ts'

export type ImportFlags = { modelsDir: string } & Partial<Preprocessing> &
  Pick<
    ImportOptions,
    'name' | 'labels' | 'size' | 'layout' | 'output' | 'activation' | 'architecture' | 'license' | 'source' | 'force'
  > & { modelVersion?: string; preprocessing?: PresetName; python?: string | true }

/** The presets as they are, so that nobody has to look them up elsewhere. */
export function presetHelp(): string {
  const lines = presetNames.map(name => {
    const { channels, fit, cropFraction, kernel, scale, mean, std } = presets[name]
    const factor = scale === 1 ? '1' : `1/${Number((1 / scale).toFixed(1))}`
    const frame = `${fit}${fit === 'cover' ? ` ${cropFraction}` : ''}, ${kernel}`
    return `  ${name.padEnd(12)} ${channels}, scale ${factor}, mean ${mean.join(',')}, std ${std.join(',')}; ${frame}`
  })
  return `\nPresets: input = (pixel * scale - mean) / std, with pixel in 0-255:\n${lines.join('\n')}`
}

export function addImportOptions(command: Command, context: Context): Command {
  return command
    .addOption(modelsDirOption(context))
    .option('--name <name>', 'name of the model (default: that of the file or folder)')
    .option('--model-version <version>', 'version of the model (default: "1")')
    .option(
      '--labels <file>',
      'one label per line (numbered or not), JSON, CSV, Keras’ class_indices or a synset file',
      context.resolve
    )
    .addOption(
      new Option(
        '--preprocessing <preset>',
        'how pixels are prepared; the options below override single settings'
      ).choices(presetNames)
    )
    .addOption(new Option('--fit <fit>', 'fill: stretch; cover: scale and crop the center').choices(['fill', 'cover']))
    .option('--crop-fraction <share>', 'share of the scaled short side to keep, e.g. 0.875 for 224 of 256', fraction)
    .addOption(
      new Option('--kernel <kernel>', 'interpolation for scaling pictures').choices([
        'nearest',
        'linear',
        'cubic',
        'lanczos3'
      ])
    )
    .option('--scale <factor>', 'factor for pixels: input = (pixel * scale - mean) / std, pixel in 0-255', scale)
    .option('--mean <numbers>', 'one per channel, in the order of --channels, e.g. 0.485,0.456,0.406', perChannel)
    .option('--std <numbers>', 'one per channel, e.g. 0.229,0.224,0.225', perChannel)
    .addOption(new Option('--channels <order>', 'order of the color channels').choices(['RGB', 'BGR']))
    .option('--size <WxH>', 'input size, if the file does not say, e.g. 224x224', size)
    .addOption(
      new Option(
        '--layout <layout>',
        'position of the color channels, if the file does not say: second or last'
      ).choices(['NCHW', 'NHWC'])
    )
    .addOption(
      new Option('--activation <activation>', 'what the scores are, if the file does not say').choices([
        'softmax',
        'logits',
        'sigmoid'
      ])
    )
    .option('--output <name>', 'output that holds the scores, if the graph has several')
    .option('--architecture <name>', 'for a Keras file of weights only: resnet50, mobilenetv2 or efficientnetb0')
    .option('--license <license>', 'license of the weights')
    .option('--source <text>', 'where the weights come from')
    .option('--python [command]', 'convert a SavedModel in a Python environment made for it (default: python3)')
    .option('--force', 'replace a model of the same name')
}

const overridable = ['channels', 'fit', 'cropFraction', 'kernel', 'scale', 'mean', 'std'] as const

export function toImportOptions(flags: ImportFlags, { env }: Pick<Context, 'env'>): Omit<ImportOptions, 'path'> {
  const { modelVersion, python, channels, fit, cropFraction, kernel, scale, mean, std, ...rest } = flags
  const settings = { channels, fit, cropFraction, kernel, scale, mean, std }
  const overrides = Object.fromEntries(
    overridable.filter(key => settings[key] !== undefined).map(key => [key, settings[key]])
  ) as Partial<Preprocessing>
  return {
    ...rest,
    version: modelVersion,
    overrides,
    ...(python === undefined ? {} : { python: pythonOf(python, env) })
  }
}

/** Where other tools keep what can be made again. */
function pythonOf(python: string | true, env: Context['env']): NonNullable<ImportOptions['python']> {
  const cache = env['XDG_CACHE_HOME'] || join(env['HOME'] ?? env['LOCALAPPDATA'] ?? '.', '.cache')
  return { python: python === true ? 'python3' : python, cacheDir: join(cache, 'streamsight') }
}

function number(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('It is not a number.')
  return value
}

/** Also as a fraction: 1/255. */
function scale(text: string): number {
  const [, above, below] = /^([\d.]+)\/([\d.]+)$/.exec(text.trim()) ?? []
  return above === undefined || below === undefined ? number(text) : number(above) / number(below)
}

function fraction(text: string): number {
  const value = number(text)
  if (value <= 0 || value > 1) throw new InvalidArgumentError('It must be more than 0 and at most 1.')
  return value
}

function perChannel(text: string): number[] {
  const values = text.split(',').map(number)
  if (values.length !== 3) throw new InvalidArgumentError('It must be three numbers with commas between them.')
  return values
}

function size(text: string): { width: number; height: number } {
  const [, width, height] = /^(\d+)[x×](\d+)$/.exec(text) ?? []
  if (!Number(width) || !Number(height))
    throw new InvalidArgumentError('It must be width and height in pixels, such as 224x224.')
  return { width: Number(width), height: Number(height) }
}

import { Command, InvalidArgumentError, Option } from 'commander'
import { presetNames, presets, type PresetName, type Preprocessing } from '@streamsight/models/preprocessing'
import type { ImportOptions } from '@streamsight/models/import'
import type { Context, ExitCode } from './context.ts'

interface Folders {
  modelsDir: string
  catalog: string
}

type ImportFlags = Pick<Folders, 'modelsDir'> &
  Partial<Preprocessing> &
  Pick<
    ImportOptions,
    'name' | 'labels' | 'size' | 'layout' | 'output' | 'activation' | 'architecture' | 'license' | 'source' | 'force'
  > & { modelVersion?: string; preprocessing?: PresetName }

const examples = `
Examples:
  npm run model -- list
  npm run model -- pull resnet50
  npm run model -- import ~/flowers.onnx --labels ~/flowers.txt --preprocessing imagenet
  npm run model -- verify everyday`

/**
 * The `streamsight` command. `finish` is told the exit code of the subcommand that ran. Each loads only what it needs: help and
 * complaints about arguments come at once.
 */
export function createProgram(context: Context, finish: (code: ExitCode) => void): Command {
  const program = new Command('streamsight').description('Image classification over HTTP').exitOverride()
  program.configureOutput({
    writeOut: text => {
      context.output.write(text)
    }
  })
  const model = program
    .command('model')
    .description('The models that can be served: list, pull, import and verify them')
    .addHelpText('after', examples)

  model
    .command('list')
    .description('show what is in the folder of models, and what can be pulled')
    .addOption(modelsDirOption(context))
    .addOption(catalogOption(context))
    .action(async (folders: Folders) => finish(await (await import('./list.ts')).list(folders, context)))

  model
    .command('pull')
    .argument('<name>', 'a model of the catalog')
    .description('download a model; an interrupted download is gone on with')
    .addOption(modelsDirOption(context))
    .addOption(catalogOption(context))
    .option('--force', 'replace a model of this name', false)
    .action(async (name: string, flags: Folders & { force: boolean }) =>
      finish(await (await import('./pull.ts')).pull({ name, ...flags }, context))
    )

  addImportOptions(
    model
      .command('import')
      .argument(
        '<path>',
        'an ONNX file, a TensorFlow.js model.json or its folder, or a Keras .h5 file',
        context.resolve
      ),
    context
  )
    .description('make a model directory of a model file')
    .addHelpText('after', presetHelp)
    .action(async (path: string, flags: ImportFlags) =>
      finish(await (await import('./import.ts')).importFile({ path, ...toImportOptions(flags) }, context))
    )

  model
    .command('verify')
    .argument('<name>', 'a model in the folder of models')
    .description('check every file of a model against its manifest')
    .addOption(modelsDirOption(context))
    .action(async (name: string, flags: Folders) =>
      finish(await (await import('./verify.ts')).verify({ name, ...flags }, context))
    )

  return program
}

/** The presets as they are, so that nobody has to look them up elsewhere. */
function presetHelp(): string {
  const lines = presetNames.map(name => {
    const { channels, fit, cropFraction, kernel, scale, mean, std } = presets[name]
    const factor = scale === 1 ? '1' : `1/${Number((1 / scale).toFixed(1))}`
    return `  ${name.padEnd(12)} ${channels}, scale ${factor}, mean ${mean.join(',')}, std ${std.join(',')}; ${fit}${fit === 'cover' ? ` ${cropFraction}` : ''}, ${kernel}`
  })
  return `\nPresets; an input is (pixel * scale - mean) / std, with pixel in 0-255:\n${lines.join('\n')}`
}

function modelsDirOption({ env, resolve }: Context): Option {
  return new Option('--models-dir <folder>', 'folder of model directories; MODELS_DIR says it too')
    .default(env['MODELS_DIR'] || 'models')
    .argParser(resolve)
}

function catalogOption({ resolve }: Context): Option {
  return new Option('--catalog <file>', 'the models that can be pulled')
    .default('models/catalog.json')
    .argParser(resolve)
}

function addImportOptions(command: Command, context: Context): Command {
  return command
    .addOption(modelsDirOption(context))
    .option('--name <name>', 'what to call the model; else as the file or its folder is called')
    .option('--model-version <version>', 'version of the model (default: "1")')
    .option(
      '--labels <file>',
      'one label a line, a JSON array, a JSON object by index, or Keras’ class index',
      context.resolve
    )
    .addOption(
      new Option('--preprocessing <preset>', 'how pixels are prepared; single settings below change it').choices(
        presetNames
      )
    )
    .addOption(new Option('--fit <fit>', 'fill stretches, cover crops the centre').choices(['fill', 'cover']))
    .option('--crop-fraction <share>', 'share of the scaled short side that is kept: 224 of 256 is 0.875', fraction)
    .addOption(
      new Option('--kernel <kernel>', 'how pictures are scaled').choices(['nearest', 'linear', 'cubic', 'lanczos3'])
    )
    .option('--scale <factor>', 'an input is (pixel * scale - mean) / std, with pixel in 0-255', number)
    .option('--mean <numbers>', 'one a channel, in the order of --channels: 0.485,0.456,0.406', perChannel)
    .option('--std <numbers>', 'one a channel: 0.229,0.224,0.225', perChannel)
    .addOption(new Option('--channels <order>', 'order of the colours').choices(['RGB', 'BGR']))
    .option('--size <WxH>', 'size of the pictures, where the file leaves it open: 224x224', size)
    .addOption(
      new Option('--layout <layout>', 'where the colours are, where the file leaves it open: second or last').choices([
        'NCHW',
        'NHWC'
      ])
    )
    .addOption(
      new Option('--activation <activation>', 'what the model ends in, where the file leaves it open').choices([
        'softmax',
        'logits',
        'sigmoid'
      ])
    )
    .option('--output <name>', 'which output of the graph holds the scores, where it has several')
    .option('--architecture <name>', 'for a Keras file with weights alone: resnet50, mobilenetv2 or efficientnetb0')
    .option('--license <license>', 'license of the weights')
    .option('--source <text>', 'where the weights come from')
    .option('--force', 'replace a model of this name')
}

const overridable = ['channels', 'fit', 'cropFraction', 'kernel', 'scale', 'mean', 'std'] as const

function toImportOptions(flags: ImportFlags): Omit<ImportOptions, 'path'> {
  const { modelVersion, channels, fit, cropFraction, kernel, scale, mean, std, ...rest } = flags
  const settings = { channels, fit, cropFraction, kernel, scale, mean, std }
  const overrides = Object.fromEntries(
    overridable.filter(key => settings[key] !== undefined).map(key => [key, settings[key]])
  ) as Partial<Preprocessing>
  return { ...rest, version: modelVersion, overrides }
}

function number(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('It is not a number.')
  return value
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

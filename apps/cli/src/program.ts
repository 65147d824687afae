import { Command, InvalidArgumentError, Option } from 'commander'
import type { Context, ExitCode } from './context.ts'
import { catalogOption, modelsDirOption } from './folders.ts'
import { addImportOptions, presetHelp, toImportOptions, type ImportFlags } from './import-options.ts'
import type { Precision } from './scorer.ts'

interface Folders {
  modelsDir: string
  catalog: string
}
type Flags = Pick<Folders, 'modelsDir'> & { json: boolean; precision: Precision }
type CheckFlags = Flags & { expect: string; photos?: string; tolerance: number }

const examples = `
Examples:
  npm run model -- list
  npm run model -- pull resnet50
  npm run model -- import ~/flowers.onnx --labels ~/flowers.txt --preprocessing imagenet
  npm run model -- try flowers ~/photos
  npm run model -- check flowers --expect ~/photos/answers.json
  npm run model -- show flowers`

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
    .description('Manage the models that can be served')
    .addHelpText('after', examples)
  for (const add of [addList, addPull, addImport, addTry, addCheck, addShow, addVerify, addRemove])
    add(model, context, finish)
  return program
}

type Finish = (code: ExitCode) => void

function addList(model: Command, context: Context, finish: Finish): void {
  model
    .command('list')
    .description('list the models in the folder, and those that can be pulled')
    .addOption(modelsDirOption(context))
    .addOption(catalogOption(context))
    .option('--json', 'print JSON', false)
    .action(async (flags: Folders & { json: boolean }) =>
      finish(await (await import('./list.ts')).list(flags, context))
    )
}

function addPull(model: Command, context: Context, finish: Finish): void {
  model
    .command('pull')
    .argument('<name>', 'a model of the catalog')
    .description('download a model (resumes interrupted downloads)')
    .addOption(modelsDirOption(context))
    .addOption(catalogOption(context))
    .option('--force', 'replace a model of the same name', false)
    .action(async (name: string, flags: Folders & { force: boolean }) =>
      finish(await (await import('./pull.ts')).pull({ name, ...flags }, context))
    )
}

function addImport(model: Command, context: Context, finish: Finish): void {
  const command = model
    .command('import')
    .argument('<path>', 'a model file, or a folder or zip that holds one: see docs/models.md', context.resolve)
  addImportOptions(command, context)
    .description('make a servable model from an ONNX, Keras, TensorFlow.js, Teachable Machine or Hugging Face model')
    .addHelpText('after', presetHelp)
    .action(async (path: string, flags: ImportFlags) =>
      finish(await (await import('./import.ts')).importFile({ path, ...toImportOptions(flags, context) }, context))
    )
}

function addTry(model: Command, context: Context, finish: Finish): void {
  ofModel(model, context, {
    command: 'try',
    description: 'classify pictures without a server, and print the best labels of each'
  })
    .argument('<photos...>', 'picture files, or folders of them')
    .addOption(precisionOption('auto'))
    .option('--top <number>', 'how many labels to print for each picture', positive, 5)
    .option('--json', 'print JSON', false)
    .action(async (name: string, photos: string[], flags: Flags & { top: number }) =>
      finish(
        await (await import('./try.ts')).tryModel({ name, photos: photos.map(context.resolve), ...flags }, context)
      )
    )
}

function addCheck(model: Command, context: Context, finish: Finish): void {
  ofModel(model, context, {
    command: 'check',
    description: 'compare a model with the answers of the framework it comes from, and explain a difference'
  })
    .requiredOption(
      '--expect <file>',
      'JSON from Python: {"cat.jpg": [scores], …}; recipes in docs/models.md',
      context.resolve
    )
    .option('--photos <folder>', 'folder of the pictures (default: that of the answers)', context.resolve)
    .addOption(precisionOption('exact'))
    .option('--tolerance <number>', 'largest difference of a probability that counts as equal', positive, 0.001)
    .option('--json', 'print JSON', false)
    .action(async (name: string, { photos, ...flags }: CheckFlags) =>
      finish(await (await import('./check/check.ts')).check({ name, photos, ...flags }, context))
    )
}

function addShow(model: Command, context: Context, finish: Finish): void {
  ofModel(model, context, { command: 'show', description: 'print everything a model’s manifest says' })
    .option('--json', 'print JSON', false)
    .action(async (name: string, flags: Flags) =>
      finish(await (await import('./show.ts')).show({ name, ...flags }, context))
    )
}

function addVerify(model: Command, context: Context, finish: Finish): void {
  ofModel(model, context, {
    command: 'verify',
    description: 'check every file of a model against its manifest'
  }).action(async (name: string, flags: Flags) =>
    finish(await (await import('./verify.ts')).verify({ name, ...flags }, context))
  )
}

function addRemove(model: Command, context: Context, finish: Finish): void {
  ofModel(model, context, { command: 'remove', description: 'delete a model (asks first)' })
    .option('--yes', 'do not ask', false)
    .action(async (name: string, flags: Flags & { yes: boolean }) =>
      finish(await (await import('./remove.ts')).remove({ name, ...flags }, context))
    )
}

/** A subcommand for one model of the folder. */
function ofModel(
  model: Command,
  context: Context,
  { command, description }: { command: string; description: string }
): Command {
  return model
    .command(command)
    .argument('<name>', 'a model in the folder of models')
    .description(description)
    .addOption(modelsDirOption(context))
}

function precisionOption(standard: Precision): Option {
  return new Option('--precision <precision>', 'which artifact to run')
    .choices(['auto', 'exact', 'int8'])
    .default(standard)
}

function positive(text: string): number {
  const value = Number(text)
  if (!(value > 0)) throw new InvalidArgumentError('It must be a number above 0.')
  return value
}

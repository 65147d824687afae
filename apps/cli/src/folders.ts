import { Option } from 'commander'
import type { Context } from './context.ts'

export function modelsDirOption({ env, resolve }: Context): Option {
  return new Option('--models-dir <folder>', 'folder of model directories (env: MODELS_DIR)')
    .default(env['MODELS_DIR'] || 'models')
    .argParser(resolve)
}

export function catalogOption({ resolve }: Context): Option {
  return new Option('--catalog <file>', 'list of the models that can be pulled')
    .default('models/catalog.json')
    .argParser(resolve)
}

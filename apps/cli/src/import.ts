import { importModel, type ImportOptions } from '@streamsight/models/import'
import type { Model } from '@streamsight/models'
import { print, type Context, type ExitCode } from './context.ts'
import { reportImported } from './report.ts'
import { tryModel } from './trial.ts'

/** `model import`: from a file that somebody has to a model that can be served. */
export async function importFile(options: ImportOptions, context: Context): Promise<ExitCode> {
  const { signal } = context
  const trial = (model: Model) => tryModel(model, signal)
  const onStep = (step: string) => print(context, step)
  const python = options.python && { ...options.python, onStep }
  reportImported(await importModel({ ...options, python, signal, trial }), context)
  return 0
}

import { importModel, type ImportOptions } from '@streamsight/models/import'
import type { Model } from '@streamsight/models'
import type { Context, ExitCode } from './context.ts'
import { reportImported } from './report.ts'
import { tryModel } from './trial.ts'

/** `model import`: from a file that somebody has to a model that can be served. */
export async function importFile(options: ImportOptions, context: Context): Promise<ExitCode> {
  const { signal } = context
  const trial = (model: Model) => tryModel(model, signal)
  reportImported(await importModel({ ...options, signal, trial }), context)
  return 0
}

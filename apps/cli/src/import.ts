import { importModel, type ImportOptions } from '@streamsight/models/import'
import type { Context, ExitCode } from './context.ts'
import { reportImported } from './report.ts'

/** `model import`: from a file that somebody has to a model that can be served. */
export async function importFile(options: ImportOptions, context: Context): Promise<ExitCode> {
  reportImported(await importModel({ ...options, signal: context.signal }), context)
  return 0
}

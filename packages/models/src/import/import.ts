import { basename } from 'node:path'
import type { SourceFormat } from '../pull/catalog.ts'
import { describe, type Statements } from './describe.ts'
import { inspectGuarded } from './guard.ts'
import { assertReplaceable, installModel } from './install.ts'
import { withCompanion } from './kinds/combine.ts'
import { withModelFile, type ModelFile } from './kinds/model-file.ts'
import type { PythonOptions } from './kinds/python.ts'
import { readLabelList } from './labels.ts'
import { ModelError } from '../store/error.ts'
import type { Settings } from './settings.ts'
import type { Trial } from './trial.ts'
import { modelNamePattern } from '../store/schema.ts'
import type { Model } from '../store/store.ts'

export interface ImportOptions extends Omit<Statements, 'name'> {
  /** A model file, or a folder or zip that holds one: see docs/models.md for the kinds. */
  path: string
  modelsDir: string
  /** That of the file, or of the folder of a model.json, if not given. */
  name?: string | undefined
  /** File with the labels: see `readLabelList`. */
  labels?: string | undefined
  /** What the file is, where its ending doesn't tell. */
  format?: SourceFormat | undefined
  /** For a Keras file that holds weights alone: which model of `keras.applications` they are. */
  architecture?: string | undefined
  /** Converts a TensorFlow SavedModel; without it, such a model is refused. */
  python?: Omit<PythonOptions, 'signal'> | undefined
  force?: boolean | undefined
  signal?: AbortSignal | undefined
  /** Runs the model before it is put in place; without it, a model that no engine runs shows only when it is served. */
  trial?: Trial | undefined
}

export interface Imported {
  model: Model
  /** Every setting, and whether it was read, given or assumed. */
  settings: Settings
  /** What else a person should know. */
  notes: string[]
}

/**
 * Turns a model file into a model directory below `modelsDir`, with all that a worker must know in its manifest. Only files of
 * the model are copied. Throws a ModelError that names the file or the option to give; nothing is left behind then.
 */
export async function importModel(options: ImportOptions): Promise<Imported> {
  const { path, format, python, signal } = options
  // Who states the format means this very file, and states the rest as well.
  if (format !== undefined) return await importFile({ file: path, companion: { facts: {} }, name: '' }, options)
  const withSignal = python && { ...python, signal }
  return await withModelFile(path, { python: withSignal }, async found => await importFile(found, options))
}

async function importFile({ file, companion, ...found }: ModelFile, options: ImportOptions): Promise<Imported> {
  const { modelsDir, force = false, signal, format, architecture, output, trial } = options
  const name = options.name ?? found.name
  if (!modelNamePattern.test(name))
    throw new ModelError(
      `"${name}" can't be a model's name: ` +
        'give --name with lower-case letters, digits, dots, dashes and underscores, beginning with a letter or digit'
    )
  await assertReplaceable(name, { modelsDir, force })
  const labels =
    options.labels === undefined ? undefined : { path: options.labels, list: await readLabelList(options.labels) }
  const labelCount = (labels?.list ?? companion.facts.labels?.value)?.length
  const size = options.size ?? companion.facts.size?.value
  const { activation } = options
  const known = { format, architecture, output, size, activation, labelCount }
  const inspected = await inspectGuarded(file, known, { signal })
  const source = `imported from ${basename(options.path)}`
  const description = describe(withCompanion(inspected, companion), { source, ...options, name }, labels)
  const model = await installModel(inspected.artifacts, description, { modelsDir, force, signal, trial })
  return { model, settings: description.settings, notes: description.notes }
}

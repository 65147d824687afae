import { stat } from 'node:fs/promises'
import { basename, dirname, extname, join, resolve } from 'node:path'
import type { SourceFormat } from '../pull/catalog.ts'
import { describe, type Statements } from './describe.ts'
import { inspectGuarded } from './guard.ts'
import type { Label } from './inspected.ts'
import { assertReplaceable, installModel } from './install.ts'
import { readLabelList } from './labels.ts'
import { ModelError } from '../store/manifest.ts'
import type { Settings } from './settings.ts'
import type { Trial } from './trial.ts'
import { modelNamePattern } from '../store/schema.ts'
import type { Model } from '../store/store.ts'

export interface ImportOptions extends Omit<Statements, 'name'> {
  /** An ONNX file, a TensorFlow.js model.json or its folder, or a Keras .h5 file. */
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
  const { modelsDir, force = false, signal, trial } = options
  const path = await fileOf(options.path)
  const name = options.name ?? nameOf(path)
  if (!modelNamePattern.test(name))
    throw new ModelError(
      `"${name}" can't be a model's name: give --name with lower-case letters, digits, dots, dashes and underscores, beginning with a letter or digit`
    )
  await assertReplaceable(name, { modelsDir, force })
  const labels =
    options.labels === undefined ? undefined : { path: options.labels, list: await labelsIn(options.labels) }
  const { format, architecture, output, size, activation } = options
  const inspected = await inspectGuarded(
    path,
    { format, architecture, output, size, activation, labelCount: labels?.list.length },
    { signal }
  )
  const description = describe(
    inspected,
    { source: `imported from ${basename(options.path)}`, ...options, name },
    labels
  )
  const model = await installModel(inspected.artifacts, description, { modelsDir, force, signal, trial })
  return { model, settings: description.settings, notes: description.notes }
}

async function labelsIn(path: string): Promise<Label[]> {
  return (await readLabelList(path)).map(label => ({ label }))
}

/** The model file itself: a folder stands for the model.json in it. */
async function fileOf(path: string): Promise<string> {
  const found = await stat(path).catch(() => undefined)
  if (found === undefined) throw new ModelError(`${path}: no such file or folder`)
  if (!found.isDirectory()) return path
  const file = join(path, 'model.json')
  if ((await stat(file).catch(() => undefined)) === undefined)
    throw new ModelError(
      `${path}: a folder without model.json; name the model file itself: .onnx, .h5 or a TensorFlow.js .json`
    )
  return file
}

function nameOf(path: string): string {
  const file = basename(path) === 'model.json' ? basename(dirname(resolve(path))) : basename(path, extname(path))
  return file.toLowerCase().replaceAll(' ', '-')
}

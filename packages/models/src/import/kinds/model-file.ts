import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, extname, join, resolve } from 'node:path'
import { ModelError } from '../../store/error.ts'
import { openZip } from '../zip.ts'
import type { Companion } from './companion.ts'
import { findModelFile, readCompanions } from './folder.ts'
import type { PythonOptions } from './python.ts'
import { refusalOf } from './refused.ts'
import { refuseSavedModel, withConverted } from './saved-model.ts'

/** The file with the graph, what the files beside it say, and what a person would call the model. */
export interface ModelFile {
  file: string
  companion: Companion
  name: string
}

/** Converts a SavedModel where Python may be used; without it such a model is refused. */
export interface ModelFileOptions {
  python?: PythonOptions | undefined
}

/**
 * Finds the model in a file, a folder or a zip and calls `use` with it; what has to be unpacked or converted is there until that
 * ends. Throws a ModelError that says what the path is and what can be done where it is nothing that can be imported.
 */
export async function withModelFile<Result>(
  path: string,
  options: ModelFileOptions,
  use: (found: ModelFile) => Promise<Result>
): Promise<Result> {
  const found = await stat(path).catch(() => undefined)
  if (found === undefined) throw new ModelError(`${path}: no such file or folder`)
  const refusal = await refusalOf(path, found.isDirectory())
  if (refusal !== undefined) throw refusal
  const name = nameOf(path, found.isDirectory())
  if (found.isDirectory()) return await withFolder(path, options, found => use({ ...found, name }))
  if (basename(path) === 'saved_model.pb')
    return await withFolder(dirname(path), options, found => use({ ...found, name }))
  if (extname(path).toLowerCase() === '.zip') return await withZip(path, options, found => use({ ...found, name }))
  return await use({ file: path, companion: await readCompanions(path, { isFolder: false }), name })
}

async function withFolder<Result>(
  folder: string,
  { python }: ModelFileOptions,
  use: (found: Omit<ModelFile, 'name'>) => Promise<Result>
): Promise<Result> {
  const file = await findModelFile(folder)
  const companion = await readCompanions(file, { isFolder: true })
  if (basename(file) !== 'saved_model.pb') return await use({ file, companion })
  if (python === undefined) throw refuseSavedModel(dirname(file))
  return await withConverted(dirname(file), python, converted =>
    use({ file: converted, companion: fromTensorFlow(companion) })
  )
}

/** ONNX from elsewhere is taken for PyTorch's, of which the usual preprocessing is another. */
function fromTensorFlow(companion: Companion): Companion {
  const usual = { preset: 'keras-tf', because: 'usual for models of TensorFlow' } as const
  return { ...companion, facts: { usual, ...companion.facts } }
}

async function withZip<Result>(
  path: string,
  options: ModelFileOptions,
  use: (found: Omit<ModelFile, 'name'>) => Promise<Result>
): Promise<Result> {
  const folder = await mkdtemp(join(tmpdir(), 'streamsight-unpacked-'))
  try {
    const zip = await openZip(path)
    await zip.extract(folder).finally(() => zip.close())
    return await withFolder(folder, options, use)
  } catch (error) {
    throw error instanceof ModelError ? new ModelError(error.message.replaceAll(folder, path)) : error
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** As the folder is called, or the file, or its folder where all files of this kind have the same name. */
function nameOf(path: string, isFolder: boolean): string {
  const full = resolve(path)
  const isNamedByFolder = ['model.json', 'saved_model.pb'].includes(basename(full))
  const named = isNamedByFolder ? dirname(full) : full
  const name = isFolder || isNamedByFolder ? basename(named) : basename(named, extname(named))
  return name
    .toLowerCase()
    .replaceAll(/[ ()]+/g, '-')
    .replace(/^-+|-+$/g, '')
}

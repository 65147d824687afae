import { lstat, readdir } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { readLabelList } from '../labels.ts'
import { ModelError } from '../../store/error.ts'
import { readJsonObject, type Companion, type JsonObject } from './companion.ts'
import { readCustomVision } from './custom-vision.ts'
import { isHuggingFace, readHuggingFace } from './hugging-face.ts'
import { refusalOf } from './refused.ts'
import { isTeachableMachine, readTeachableMachine, readTeachableMachineKeras } from './teachable-machine.ts'

/** What macOS and file managers leave in archives, and no model's. */
const clutter = new Set(['__MACOSX', '.DS_Store', 'Thumbs.db', 'desktop.ini'])

/** Where a folder's model file may be, the likeliest first. */
const modelFiles = [
  'model.json',
  'model.onnx',
  'onnx/model.onnx',
  'keras_model.h5',
  'model.h5',
  'model.keras',
  'saved_model.pb'
]

/**
 * The model file in a folder. A folder that holds nothing but another folder stands for that. Throws a ModelError that says what
 * was found instead; `saved_model.pb` stands for a SavedModel.
 */
export async function findModelFile(folder: string): Promise<string> {
  const names = (await readdir(folder)).filter(name => !clutter.has(name))
  const [only] = names
  if (names.length === 1 && only !== undefined && (await kindOf(join(folder, only))) === 'folder')
    return await findModelFile(join(folder, only))
  for (const name of modelFiles) if ((await kindOf(join(folder, name))) === 'file') return join(folder, name)
  return await onlyModel(folder, names)
}

/** One model file by whatever name, or what is there that can't be imported. */
async function onlyModel(folder: string, names: string[]): Promise<string> {
  const models = names.filter(name => /\.(onnx|h5|hdf5|keras)$/i.test(name))
  const [model] = models
  if (model !== undefined && models.length === 1) return join(folder, model)
  if (models.length > 1)
    throw new ModelError(`${folder}: holds ${models.length} models (${models.join(', ')}): name the file to import`)
  for (const name of names) {
    const refusal = await refusalOf(join(folder, name))
    if (refusal !== undefined) throw refusal
  }
  const torch = names.find(name => /^pytorch_model.*\.bin$/.test(name))
  if (torch !== undefined) throw (await refusalOf(join(folder, `${torch}.safetensors`))) as Error
  const found = names.slice(0, 8).join(', ') || 'nothing'
  throw new ModelError(
    `${folder}: no model in this folder: looked for model.json, .onnx, .h5, .keras, onnx/model.onnx and saved_model.pb, found ${found}`
  )
}

/**
 * What the files beside a model say of it. `isFolder` tells that the folder as a whole was named, so that a file of labels in it
 * belongs to the model; beside a file that was named itself, only files that name their maker count.
 */
export async function readCompanions(file: string, { isFolder }: { isFolder: boolean }): Promise<Companion> {
  const folder = basename(dirname(file)) === 'onnx' ? dirname(dirname(file)) : dirname(file)
  const own = (await readMaker(file, folder)) ?? { facts: {} }
  const isExport = isFolder || (await exists(join(folder, 'cvexport.manifest')))
  if (own.facts.labels !== undefined || !isExport) return own
  const labels = await labelsIn(folder)
  return labels === undefined ? own : { ...own, facts: { ...own.facts, labels } }
}

async function readMaker(file: string, folder: string): Promise<Companion | undefined> {
  const metadata = await jsonIn(folder, 'metadata.json')
  if (metadata !== undefined && isTeachableMachine(metadata))
    return readTeachableMachine(metadata, join(folder, 'metadata.json'))
  if (basename(file) === 'keras_model.h5' && (await exists(join(folder, 'labels.txt'))))
    return readTeachableMachineKeras()
  const manifest = await jsonIn(folder, 'cvexport.manifest')
  const properties = await jsonIn(folder, 'metadata_properties.json')
  if (manifest !== undefined || properties !== undefined)
    return readCustomVision({ manifest, properties, path: folder })
  return await readRepository(folder)
}

async function readRepository(folder: string): Promise<Companion | undefined> {
  const config = await jsonIn(folder, 'config.json')
  const preprocessor = await jsonIn(folder, 'preprocessor_config.json')
  if (preprocessor === undefined && (config === undefined || !isHuggingFace(config))) return undefined
  return readHuggingFace(fileAs(config, 'config.json'), fileAs(preprocessor, 'preprocessor_config.json'))

  function fileAs(values: JsonObject | undefined, name: string) {
    return values && { values, path: join(folder, name) }
  }
}

async function labelsIn(folder: string): Promise<Companion['facts']['labels']> {
  for (const name of ['labels.json', 'labels.txt', 'class_indices.json', 'labels.csv', 'classes.txt', 'synset.txt'])
    if (await exists(join(folder, name))) return { value: await readLabelList(join(folder, name)), from: name }
  return undefined
}

async function jsonIn(folder: string, name: string): Promise<JsonObject | undefined> {
  const path = join(folder, name)
  return (await exists(path)) ? await readJsonObject(path) : undefined
}

async function exists(path: string): Promise<boolean> {
  return (await kindOf(path)) === 'file'
}

/** A link may point anywhere, and the folder may be somebody else's: none is followed. */
async function kindOf(path: string): Promise<'file' | 'folder' | 'other'> {
  const found = await lstat(path).catch(() => undefined)
  if (found?.isSymbolicLink() === true)
    throw new ModelError(
      `${path}: is a symbolic link, which is not followed: copy the folder with cp -rL, which puts files in the place of links`
    )
  if (found?.isFile() === true) return 'file'
  return found?.isDirectory() === true ? 'folder' : 'other'
}

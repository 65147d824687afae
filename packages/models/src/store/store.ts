import { readFile, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { digestFile } from './digest.ts'
import { parseLabels, type Label } from './labels.ts'
import { ModelError } from './error.ts'
import { parseManifest, type Artifact, type Manifest } from './manifest.ts'

/** A model directory whose manifest and labels have been read and agree. */
export interface Model {
  dir: string
  manifest: Manifest
  /** In index order, one for each class. */
  labels: Label[]
}

/** Opens `<modelsDir>/<name>`. Throws a ModelError for a missing or bad manifest and for labels that don't fit it. */
export async function openModel(modelsDir: string, name: string): Promise<Model> {
  const dir = join(modelsDir, name)
  const manifest = parseManifest((await read(join(dir, 'manifest.json'))).toString(), join(dir, 'manifest.json'))
  if (manifest.name !== name)
    throw new ModelError(`${join(dir, 'manifest.json')}: field "name" is "${manifest.name}", the directory "${name}"`)
  return { dir, manifest, labels: await readLabels(join(dir, manifest.labels), manifest.output.classes) }
}

/** A directory in the folder of models, and whether what it holds can be served as far as sizes tell. */
export type Listed = { name: string } & ({ state: 'ready'; model: Model } | { state: 'broken'; fault: string })

/**
 * Every directory with a manifest, by name. A broken model is listed with what is wrong and doesn't hide the others; digests
 * are not computed, which would read every weight. A folder that isn't there holds no models.
 */
export async function listModels(modelsDir: string): Promise<Listed[]> {
  const listed = []
  for (const name of await directoriesIn(modelsDir)) {
    // Not a model's name, so no model: what is being imported or downloaded lies there.
    if (name.startsWith('.') || !(await exists(join(modelsDir, name, 'manifest.json')))) continue
    listed.push(await look(modelsDir, name))
  }
  return listed
}

async function look(modelsDir: string, name: string): Promise<Listed> {
  try {
    const model = await openModel(modelsDir, name)
    for (const artifact of model.manifest.artifacts) await checkSizes(model, artifact)
    return { name, state: 'ready', model }
  } catch (error) {
    if (!(error instanceof ModelError)) throw error
    return { name, state: 'broken', fault: error.message }
  }
}

/** Checks that every file of an artifact is there with the manifest's size and sha256; the error names the file. */
export async function verifyArtifact(model: Model, artifact: Artifact): Promise<void> {
  checkGraph(model, artifact)
  for (const file of artifact.files) await verifyFile(model, file)
}

/** Checks one file of an artifact as `verifyArtifact` does all. */
export async function verifyFile(model: Model, file: Artifact['files'][number]): Promise<void> {
  const path = join(model.dir, file.path)
  await checkSize(path, file.bytes)
  const sha256 = await digestFile(path, 'sha256')
  if (sha256 !== file.sha256) throw new ModelError(`${path}: sha256 ${sha256}, the manifest says ${file.sha256}`)
}

async function checkSizes(model: Model, artifact: Artifact): Promise<void> {
  checkGraph(model, artifact)
  for (const file of artifact.files) await checkSize(join(model.dir, file.path), file.bytes)
}

/** What is not listed is never verified: an artifact must list at least the graph it is loaded from. */
function checkGraph(model: Model, artifact: Artifact): void {
  if (!artifact.files.some(({ path }) => path === artifact.path))
    throw new ModelError(`${join(model.dir, artifact.path)}: not among the files of its artifact`)
}

async function checkSize(path: string, expected: number): Promise<void> {
  const bytes = await sizeOf(path)
  if (bytes !== expected) throw new ModelError(`${path}: ${bytes} bytes, the manifest says ${expected}`)
}

async function readLabels(path: string, classes: number): Promise<Label[]> {
  const labels = parseLabels(await read(path), path)
  if (labels.length !== classes)
    throw new ModelError(`${path}: ${labels.length} labels, the manifest says ${classes} classes`)
  return labels
}

async function read(path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (error) {
    throw new ModelError(
      `${path}: ${(error as NodeJS.ErrnoException).code === 'ENOENT' ? 'no such file' : (error as Error).message}`
    )
  }
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size
  } catch {
    throw new ModelError(`${path}: missing, but the manifest lists it`)
  }
}

async function directoriesIn(dir: string): Promise<string[]> {
  try {
    const entries = await readdir(dir, { withFileTypes: true })
    return entries
      .filter(entry => entry.isDirectory() || entry.isSymbolicLink())
      .map(({ name }) => name)
      .toSorted()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw new ModelError(`${dir}: ${(error as Error).message}`)
  }
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false
  )
}

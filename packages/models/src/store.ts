import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { ModelError, parseManifest, type Artifact, type Manifest } from './manifest.ts'

/** A model directory whose manifest and labels have been read and agree. */
export interface Model {
  dir: string
  manifest: Manifest
  /** In index order, one for each class. */
  labels: string[]
}

/** Opens `<modelsDir>/<name>`. Throws a ModelError for a missing or bad manifest and for labels that don't fit it. */
export async function openModel (modelsDir: string, name: string): Promise<Model> {
  const dir = join(modelsDir, name)
  const manifest = parseManifest(await read(join(dir, 'manifest.json')), join(dir, 'manifest.json'))
  if (manifest.name !== name) throw new ModelError(`${join(dir, 'manifest.json')}: field "name" is "${manifest.name}", the directory "${name}"`)
  return { dir, manifest, labels: await readLabels(join(dir, manifest.labels), manifest.output.classes) }
}

/** Checks that every file of an artifact is there with the manifest's size and sha256; the error names the file. */
export async function verifyArtifact (model: Model, artifact: Artifact): Promise<void> {
  if (!artifact.files.some(({ path }) => path === artifact.path)) throw new ModelError(`${join(model.dir, artifact.path)}: not among the files of its artifact`)
  for (const file of artifact.files) {
    const path = join(model.dir, file.path)
    const bytes = await sizeOf(path)
    if (bytes !== file.bytes) throw new ModelError(`${path}: ${bytes} bytes, the manifest says ${file.bytes}`)
    const sha256 = await digest(path)
    if (sha256 !== file.sha256) throw new ModelError(`${path}: sha256 ${sha256}, the manifest says ${file.sha256}`)
  }
}

async function readLabels (path: string, classes: number): Promise<string[]> {
  const labels = (await read(path)).trimEnd().split(/\r?\n/)
  if (labels.length !== classes) throw new ModelError(`${path}: ${labels.length} labels, the manifest says ${classes} classes`)
  return labels
}

async function read (path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    throw new ModelError(`${path}: ${(error as NodeJS.ErrnoException).code === 'ENOENT' ? 'no such file' : (error as Error).message}`)
  }
}

async function sizeOf (path: string): Promise<number> {
  try {
    return (await stat(path)).size
  } catch {
    throw new ModelError(`${path}: missing, but the manifest lists it`)
  }
}

async function digest (path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash)
  return hash.digest('hex')
}

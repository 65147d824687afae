import { mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Description } from './describe.ts'
import { digestFile } from '../store/digest.ts'
import type { PlannedArtifact, PlannedFile } from './inspected.ts'
import { labelsFile } from '../store/labels.ts'
import { ModelError } from '../store/error.ts'
import { parseManifest, type Artifact, type Manifest } from '../store/manifest.ts'
import { assertRelative, copyTo, openSibling, openSource } from './source-files.ts'
import type { Trial } from './trial.ts'
import { openModel, verifyArtifact, type Model } from '../store/store.ts'

export interface InstallOptions {
  modelsDir: string
  /** Whether a model of this name may be replaced. */
  force: boolean
  signal?: AbortSignal | undefined
  /** Runs the model once it is complete, and before it replaces another. */
  trial?: Trial | undefined
}

/** A begun import whose process is gone leaves its directory behind; no import takes this long. */
const leftoverAgeMs = 3_600_000

/**
 * Writes a model and verifies it in a hidden directory beside the others, and renames that at the end: whatever happens, there
 * is never half a model. Throws a ModelError if one of this name exists and `force` is not given.
 */
export async function installModel(
  artifacts: PlannedArtifact[],
  description: Description,
  options: InstallOptions
): Promise<Model> {
  const { modelsDir, signal, trial } = options
  const { name } = description.manifest
  await assertReplaceable(name, options)
  await mkdir(modelsDir, { recursive: true })
  await removeLeftovers(modelsDir)
  const staging = await mkdtemp(join(modelsDir, '.importing-'))
  try {
    await writeModel(join(staging, name), artifacts, description)
    const model = await openModel(staging, name)
    for (const artifact of model.manifest.artifacts) await verifyArtifact(model, artifact)
    await trial?.(model)
    signal?.throwIfAborted()
    await moveIntoPlace(staging, name, options)
  } catch (error) {
    throw asDiskError(error, modelsDir)
  } finally {
    await rm(staging, { recursive: true, force: true })
  }
  return await openModel(modelsDir, name)
}

/** Asked before anything is downloaded or converted, so that nobody waits in vain. */
export async function assertReplaceable(name: string, { modelsDir, force }: InstallOptions): Promise<void> {
  const dir = join(modelsDir, name)
  if (!force && (await exists(dir)))
    throw new ModelError(`${dir} exists already: give --force to replace it, or --name to choose another name`)
}

async function writeModel(
  dir: string,
  artifacts: PlannedArtifact[],
  { manifest, layouts, settings }: Description
): Promise<void> {
  await mkdir(dir)
  const written: Artifact[] = []
  for (const [index, { format, path, output, files }] of artifacts.entries()) {
    const layout = layouts[index] ?? 'NHWC'
    written.push({
      format,
      path,
      layout,
      ...(output === undefined ? {} : { output }),
      files: await writeFiles(dir, files)
    })
  }
  const complete: Manifest = { ...manifest, artifacts: written }
  const text = JSON.stringify(complete, null, 2) + '\n'
  parseManifest(text, `${manifest.name}: its new manifest`)
  await writeFile(join(dir, manifest.labels), labelsFile(settings.labels.value).text, { flag: 'wx' })
  await writeFile(join(dir, 'manifest.json'), text, { flag: 'wx' })
}

async function writeFiles(dir: string, files: PlannedFile[]): Promise<Artifact['files']> {
  const listed = []
  for (const file of files) {
    const target = within(dir, file.path)
    if (await exists(target)) throw new ModelError(`the model names its file "${file.path}" twice: it is damaged`)
    await mkdir(dirname(target), { recursive: true })
    if ('content' in file) await writeFile(target, file.content)
    else await copyTo('from' in file ? await openSource(file.from) : await openSibling(file.folder, file.path), target)
    listed.push({ path: file.path, bytes: (await stat(target)).size, sha256: await digestFile(target, 'sha256') })
  }
  return listed
}

/** A model file may name others; none of them may lie outside the model's directory or be one that is written here. */
function within(dir: string, path: string): string {
  if (['manifest.json', 'labels.txt', 'labels.json'].includes(path))
    throw new ModelError(
      `a file of the model is called "${path}", as one that every model directory has: rename it, there and in the model`
    )
  assertRelative(path)
  return join(dir, path)
}

/** The old model stays until the new one is complete beside it, and comes back if the last step fails. */
async function moveIntoPlace(staging: string, name: string, { modelsDir, force }: InstallOptions): Promise<void> {
  const dir = join(modelsDir, name)
  const aside = join(staging, `replaced-${name}`)
  const replaces = force && (await exists(dir))
  if (replaces) await rename(dir, aside)
  try {
    await rename(join(staging, name), dir)
  } catch (error) {
    if (replaces) await rename(aside, dir)
    throw error
  }
}

async function removeLeftovers(modelsDir: string): Promise<void> {
  for (const entry of await readdir(modelsDir)) {
    if (!entry.startsWith('.importing-')) continue
    const path = join(modelsDir, entry)
    const found = await stat(path).catch(() => undefined)
    if (found !== undefined && Date.now() - found.mtimeMs > leftoverAgeMs)
      await rm(path, { recursive: true, force: true })
  }
}

function asDiskError(error: unknown, modelsDir: string): unknown {
  const { code } = error as NodeJS.ErrnoException
  return code === 'ENOSPC' || code === 'EDQUOT'
    ? new ModelError(`${modelsDir}: the disk is full; make room and try again`)
    : error
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false
  )
}

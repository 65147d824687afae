import { mkdir, rm, rmdir, stat, statfs } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { localName, type CatalogEntry, type CatalogFile } from './catalog.ts'
import { bytesHere, download, type Download, type DownloadOptions } from './download.ts'
import { importModel, type Imported } from '../import/import.ts'
import type { Trial } from '../import/trial.ts'
import { ModelError } from '../store/error.ts'
import { DownloadError } from './http.ts'
import { openModel, verifyArtifact, type Model } from '../store/store.ts'

export interface PullOptions extends Pick<DownloadOptions, 'network' | 'signal' | 'retry' | 'onRetry'> {
  modelsDir: string
  /** Whether a model of this name that is there may be replaced. */
  force?: boolean
  trial?: Trial
  /** Bytes of all files together that are here, out of `total`. */
  onProgress?: ((received: number, total: number) => void) | undefined
  /** All files are here and right; making the model of them may take seconds. */
  onDownloaded?: (() => void) | undefined
}

/** A model was made, or it was there already, whole and of the catalog's version. */
export type Pulled = ({ state: 'pulled' } & Imported) | { state: 'present'; model: Model }

/** Small files take longer to ask for than to receive. */
const concurrency = 4

/**
 * Downloads a model of the catalog and imports it. Interrupted at any moment it leaves no half model, only downloads that the
 * next call goes on with. Throws a DownloadError or a ModelError that says what can be done, or the signal's reason.
 */
export async function pullModel(entry: CatalogEntry, options: PullOptions): Promise<Pulled> {
  const { modelsDir, force = false, signal, trial, onDownloaded } = options
  const present = force ? undefined : await findPresent(entry, modelsDir)
  if (present !== undefined) return { state: 'present', model: present }
  const dir = join(modelsDir, '.downloads', `${entry.name}-${entry.version}`)
  await mkdir(dir, { recursive: true })
  await assertRoom(entry.files, dir)
  await downloadAll(entry.files, dir, options)
  onDownloaded?.()

  const { path, labels, input, ...settings } = entry.import
  const { name, version, license, source } = entry
  const imported = await importModel({
    ...settings,
    name,
    version,
    license,
    source,
    modelsDir,
    force,
    signal,
    trial,
    overrides: input,
    path: join(dir, path),
    labels: labels && join(dir, labels)
  })
  await rm(dir, { recursive: true, force: true })
  // Others may be downloading there.
  await rmdir(dirname(dir)).catch(() => undefined)
  return { state: 'pulled', ...imported }
}

/** The model if it is there, of this version and undamaged; undefined if there is none. */
async function findPresent({ name, version }: CatalogEntry, modelsDir: string): Promise<Model | undefined> {
  if ((await stat(join(modelsDir, name)).catch(() => undefined)) === undefined) return undefined
  try {
    const model = await openModel(modelsDir, name)
    if (model.manifest.version !== version)
      throw new ModelError(`${model.dir} is version ${model.manifest.version}, the catalog has ${version}`)
    for (const artifact of model.manifest.artifacts) await verifyArtifact(model, artifact)
    return model
  } catch (error) {
    if (!(error instanceof ModelError)) throw error
    throw new ModelError(`${error.message}; pull with --force to replace it`)
  }
}

/** The files once as downloads, and up to twice in the model: what is converted becomes two artifacts. */
async function assertRoom(files: CatalogFile[], dir: string): Promise<void> {
  const { bavail, bsize } = await statfs(dir)
  const [free, total] = [bavail * bsize, totalOf(files)]
  const needed = 3 * total - (await receivedOf(files, dir))
  if (needed > free)
    throw new DownloadError(
      `${dir}: ${Math.ceil(needed / 1e6)} MB are needed, but the disk has only ${Math.floor(free / 1e6)} MB left: ` +
        'make room, or choose another folder with --models-dir'
    )
}

/** Several at a time; the first failure ends the others. */
async function downloadAll(files: CatalogFile[], dir: string, options: PullOptions): Promise<void> {
  const failed = new AbortController()
  const signal = AbortSignal.any([failed.signal, ...(options.signal ? [options.signal] : [])])
  const report = await sumProgress(files, dir, options.onProgress)
  const waiting = [...files.entries()]
  const runs = Array.from({ length: concurrency }, async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [index, file] = next
      signal.throwIfAborted()
      await downloadInto(dir, file, { ...options, signal, onProgress: received => report(index, received) })
    }
  })
  const outcomes = await Promise.allSettled(
    runs.map(run =>
      run.catch((error: unknown) => {
        failed.abort(error)
        throw error
      })
    )
  )
  if (outcomes.some(({ status }) => status === 'rejected')) throw signal.reason
}

async function downloadInto(dir: string, file: CatalogFile, options: DownloadOptions): Promise<void> {
  const path = join(dir, localName(file))
  await mkdir(dirname(path), { recursive: true })
  await download(toDownload(file), path, options)
}

function toDownload({ url, bytes, sha256, md5 = '' }: CatalogFile): Download {
  return sha256 === undefined
    ? { url, bytes, algorithm: 'md5', digest: md5 }
    : { url, bytes, algorithm: 'sha256', digest: sha256 }
}

/** Makes one figure of the progress of each file. */
async function sumProgress(files: CatalogFile[], dir: string, onProgress: PullOptions['onProgress']) {
  const received = await Promise.all(files.map(file => bytesHere(join(dir, localName(file)))))
  const report = () =>
    onProgress?.(
      received.reduce((sum, bytes) => sum + bytes, 0),
      totalOf(files)
    )
  report()
  return (index: number, bytes: number) => {
    received[index] = bytes
    report()
  }
}

async function receivedOf(files: CatalogFile[], dir: string): Promise<number> {
  const received = await Promise.all(files.map(file => bytesHere(join(dir, localName(file)))))
  return received.reduce((sum, bytes) => sum + bytes, 0)
}

function totalOf(files: CatalogFile[]): number {
  return files.reduce((sum, { bytes }) => sum + bytes, 0)
}

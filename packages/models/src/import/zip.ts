import { createWriteStream } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { fromFdPromise, type Entry, type ZipFile } from 'yauzl'
import { ModelError } from '../store/error.ts'
import { assertRelative, openSource } from './source-files.ts'

/** Teachable Machine's has 3 entries, Keras' 3, a SavedModel's a few dozen. */
const maxEntries = 1_000
/** Weights hardly shrink, their descriptions do up to 30 times; a bomb does so 1,000 times. */
const maxRatio = 100
/** Below this, a high ratio does no harm. */
const harmlessBytes = 32 * 1024 * 1024

/** A zip whose entries have been checked. Close it. */
export interface Zip {
  /** Paths of its files, with their uncompressed bytes. */
  files: Map<string, number>
  /** Content of one file. Throws a ModelError if it is not in the zip or damaged. */
  read: (path: string) => Promise<Buffer>
  /** Writes every file below a folder. */
  extract: (folder: string) => Promise<void>
  close: () => void
}

/**
 * Opens a zip that came from anywhere. Throws a ModelError if it is none, if an entry would be written outside the folder it is
 * extracted to, or is a link or encrypted, or if it would grow beyond all measure.
 */
export async function openZip(path: string): Promise<Zip> {
  const { file, bytes } = await openSource(path)
  try {
    const zip = await fromFdPromise(file.fd, { autoClose: false, lazyEntries: true, strictFileNames: true })
    const entries = await entriesOf(zip, path)
    assertBounded([...entries.values()], { bytes, path })
    const read = async (name: string) => await buffer(await openEntry(zip, entries.get(name), `${path}: ${name}`))
    return {
      files: new Map([...entries].map(([name, { uncompressedSize }]) => [name, uncompressedSize])),
      read: name => read(name).catch((error: unknown) => fail(path, error)),
      extract: folder => extract(zip, entries, folder).catch((error: unknown) => fail(path, error)),
      // The descriptor is the handle's: yauzl closes none.
      close: () => void file.close()
    }
  } catch (error) {
    await file.close()
    return fail(path, error)
  }
}

function fail(path: string, error: unknown): never {
  if (error instanceof ModelError) throw error
  throw new ModelError(`${path}: not a zip, or damaged: ${(error as Error).message}`)
}

/** The files of a zip; folders are made as they are needed. */
async function entriesOf(zip: ZipFile, path: string): Promise<Map<string, Entry>> {
  if (zip.entryCount > maxEntries)
    throw new ModelError(`${path}: has ${zip.entryCount} entries, more than ${maxEntries}`)
  const entries = new Map<string, Entry>()
  for await (const entry of zip.eachEntry()) {
    const { fileName } = entry
    if (fileName.endsWith('/') || isClutter(fileName)) continue
    assertRelative(fileName)
    assertPlain(entry, path)
    if (entries.has(fileName)) throw new ModelError(`${path}: holds "${fileName}" twice`)
    entries.set(fileName, entry)
  }
  return entries
}

/** What macOS and git add to folders: hidden files, which belong to no model. */
function isClutter(name: string): boolean {
  return name.split('/').some(part => part === '__MACOSX' || /^\.[^.]/.test(part))
}

function assertPlain(entry: Entry, path: string): void {
  const type = (entry.externalFileAttributes >>> 16) & 0o170000
  // Zips from Windows leave the type open.
  if (type !== 0 && type !== 0o100000) throw new ModelError(`${path}: its entry "${entry.fileName}" is no plain file`)
  if (entry.isEncrypted()) throw new ModelError(`${path}: its entry "${entry.fileName}" is encrypted`)
}

/** Entries that share their bytes would each be small and together without bound. */
function assertBounded(entries: Entry[], { bytes, path }: { bytes: number; path: string }): void {
  const sum = (of: (entry: Entry) => number) => entries.reduce((total, entry) => total + of(entry), 0)
  const packed = sum(({ compressedSize }) => compressedSize)
  const unpacked = sum(({ uncompressedSize }) => uncompressedSize)
  if (packed > bytes) throw new ModelError(`${path}: its entries overlap: ${packed} bytes in a file of ${bytes}`)
  if (unpacked > Math.max(harmlessBytes, maxRatio * bytes))
    throw new ModelError(`${path}: ${bytes} bytes would become ${unpacked}, more than ${maxRatio} times as many`)
}

/** Ends with an error at the first byte beyond the size that the entry declares. */
async function openEntry(zip: ZipFile, entry: Entry | undefined, what: string) {
  if (entry === undefined) throw new ModelError(`${what}: not in the zip`)
  return await zip.openReadStreamPromise(entry)
}

async function extract(zip: ZipFile, entries: Map<string, Entry>, folder: string): Promise<void> {
  for (const [name, entry] of entries) {
    const target = join(folder, name)
    await mkdir(dirname(target), { recursive: true })
    await pipeline(await openEntry(zip, entry, name), createWriteStream(target, { flags: 'wx' }))
  }
}

import { constants, type Stats } from 'node:fs'
import { open, realpath, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { ModelError } from '../store/error.ts'

/**
 * Opens a file that somebody named, for reading. Throws a ModelError if it is no plain file: a named pipe would be waited for
 * without end, and a device has no end. The caller closes it.
 */
export async function openSource(path: string, flags = 0): Promise<{ file: FileHandle; bytes: number }> {
  // Without O_NONBLOCK, to open a named pipe waits for a writer.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | flags).catch((error: unknown) => {
    throw new ModelError(`${path}: ${whyNot(error)}`)
  })
  const found = await file.stat()
  if (found.isFile()) return { file, bytes: found.size }
  await file.close()
  throw new ModelError(`${path}: is ${kindOf(found)}, not a file`)
}

/**
 * Opens a file that a model refers to, which must lie in the model's folder: no absolute path, no `..`, and no symbolic link on
 * the way, whose target could be any file of this machine. The caller closes it.
 */
export async function openSibling(folder: string, path: string): Promise<{ file: FileHandle; bytes: number }> {
  assertRelative(path)
  const full = join(folder, path)
  const [real, realFolder] = await Promise.all([
    realpath(full).catch((error: unknown) => {
      throw new ModelError(`${full}: ${whyNot(error)}, but the model refers to it`)
    }),
    realpath(folder)
  ])
  if (real !== join(realFolder, path))
    throw new ModelError(
      `${full}: is a symbolic link, or lies behind one; only files in the model's own folder are read: ` +
        'put a copy in its place (cp -rL copies a folder without links)'
    )
  return await openSource(full, constants.O_NOFOLLOW)
}

/** Bytes of a file that a model refers to, under the same conditions as `openSibling`. */
export async function sizeOfSibling(folder: string, path: string): Promise<number> {
  const { file, bytes } = await openSibling(folder, path)
  await file.close()
  return bytes
}

/** Copies an opened file and closes it: what was checked is what is copied. */
export async function copyTo({ file }: { file: FileHandle }, target: string): Promise<void> {
  const from = file.createReadStream()
  const copy = await open(target, 'wx').catch((error: unknown) => {
    from.destroy()
    throw error
  })
  await pipeline(from, copy.createWriteStream())
}

/** A path within a folder: of its own parts alone, none hidden. */
export function assertRelative(path: string): void {
  const parts = path.split(/[/\\]/)
  if (parts.every(part => part !== '' && !part.startsWith('.') && !part.includes('\0')) && !/^[a-z]:/i.test(path))
    return
  throw new ModelError(
    `a file of the model is called "${path.slice(0, 200)}": ` +
      'only files beside the model or below it, not hidden ones, can be imported'
  )
}

function whyNot(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  const reasons: Record<string, string> = {
    ENOENT: 'missing',
    ENOTDIR: 'missing',
    EACCES: 'this user may not read it',
    ELOOP: 'a symbolic link',
    ENXIO: 'a socket or pipe, not a file',
    ENAMETOOLONG: 'its name is too long'
  }
  return reasons[code ?? ''] ?? message
}

function kindOf(found: Stats): string {
  if (found.isDirectory()) return 'a folder'
  if (found.isFIFO()) return 'a named pipe'
  return found.isSocket() ? 'a socket' : 'a device'
}

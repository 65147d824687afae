import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ModelError } from '@streamsight/models'

const endings = /\.(jpe?g|png|webp|gif|avif|tiff?|bmp)$/i

/** The pictures that paths stand for: a folder for those in it, by their endings. Throws a ModelError for a path that is not there. */
export async function picturesOf(paths: string[]): Promise<string[]> {
  const listed = await Promise.all(paths.map(picturesIn))
  return listed.flat()
}

async function picturesIn(path: string): Promise<string[]> {
  const found = await stat(path).catch(() => undefined)
  if (found === undefined) throw new ModelError(`${path}: no such file or folder`)
  if (!found.isDirectory()) return [path]
  const names = (await readdir(path)).filter(name => endings.test(name)).toSorted()
  if (names.length === 0) throw new ModelError(`${path}: no pictures in this folder (.jpg, .png, .webp, …)`)
  return names.map(name => join(path, name))
}

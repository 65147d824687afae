import { readFile } from 'node:fs/promises'
import { Dataset, File, Group, Module as library, ready } from 'h5wasm'
import { floatOf16 } from './bytes.ts'
import { KerasError } from './error.ts'
import { sizeOf } from './ir.ts'
import { type StoredTensor } from './weights.ts'

export { type Group } from 'h5wasm'

/** Opens an HDF5 file for as long as `use` takes. Throws a KerasError for a file that is missing, of another kind or cut short. */
export async function withH5<Result>(path: string, use: (root: Group) => Result): Promise<Result> {
  return await withH5Bytes(path, await readBytes(path), use)
}

async function readBytes(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    throw new KerasError(`${path}: ${code === 'ENOENT' ? 'no such file' : message}`)
  }
}

let opened = 0

/**
 * The same for a file that is in memory already; `path` is for messages. The library sees a file system that holds this file alone:
 * an HDF5 file can say that its data lies in any other, and would be given it.
 */
export async function withH5Bytes<Result>(
  path: string,
  bytes: Uint8Array,
  use: (root: Group) => Result
): Promise<Result> {
  await ready
  // Without it the library prints what is wrong and gives a file that fails in every use.
  library.activate_throwing_error_handler()
  const name = `/model-${++opened}.h5`
  // Taken over as they are, without a copy.
  const options = { flags: 'w', canOwn: true }
  library.FS.writeFile(name, bytes, options)
  try {
    return useFile(path, name, use)
  } finally {
    library.FS.unlink(name)
  }
}

function useFile<Result>(path: string, name: string, use: (root: Group) => Result): Result {
  let file: File
  try {
    file = new File(name, 'r')
  } catch (error) {
    throw new KerasError(`${path}: not a readable HDF5 file: ${reasonOf(error)}`)
  }
  try {
    return use(file)
  } catch (error) {
    throw isH5Error(error) ? new KerasError(`${path}: a damaged HDF5 file: ${reasonOf(error)}`) : error
  } finally {
    file.close()
  }
}

/** The group of that name, which can be a path. */
export function groupAt(parent: Group, name: string): Group | undefined {
  const entity = entityAt(parent, name)
  return entity instanceof Group ? entity : undefined
}

export function tensorAt(parent: Group, name: string): StoredTensor | undefined {
  const entity = entityAt(parent, name)
  return entity instanceof Dataset ? { name, shape: entity.shape ?? [], read: () => floatsOf(entity, name) } : undefined
}

/** The weights that Keras lists for a group, in its order. */
export function listedTensors(group: Group): StoredTensor[] {
  return (namesAttribute(group, 'weight_names') ?? []).map(name => {
    const tensor = tensorAt(group, name)
    if (tensor === undefined)
      throw new KerasError(`group "${group.path}" lists a weight "${name}" that is not in the file`)
    return tensor
  })
}

/** A step at a time: the library fails at a path whose first part is missing. */
function entityAt(parent: Group, name: string) {
  let entity: ReturnType<Group['get']> = parent
  for (const part of name.split('/').filter(part => part !== '')) {
    if (!(entity instanceof Group) || !entity.keys().includes(part)) return null
    entity = entity.get(part)
  }
  return entity
}

/** An attribute of text; undefined if there is none. */
export function textAttribute(group: Group, name: string): string | undefined {
  const value = group.attrs[name]?.value
  if (value instanceof Uint8Array) return new TextDecoder().decode(value)
  return typeof value === 'string' ? value : undefined
}

/** An attribute that is a list of names. Keras splits one over 64 KB into `name0`, `name1` … */
export function namesAttribute(group: Group, name: string): string[] | undefined {
  const { attrs } = group
  if (attrs[name] !== undefined) return listOf(attrs[name].value)
  const parts: string[][] = []
  while (attrs[`${name}${parts.length}`] !== undefined) parts.push(listOf(attrs[`${name}${parts.length}`]?.value))
  return parts.length === 0 ? undefined : parts.flat()
}

/** An empty list is stored as one of numbers. */
function listOf(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : []
}

/** More than a network has in one tensor; a file of a few bytes can claim any number. */
const mostValues = 2 ** 29

function floatsOf(dataset: Dataset, name: string): Float32Array {
  const { metadata } = dataset
  if (metadata.virtual_sources !== undefined)
    throw new KerasError(`weight "${name}" is put together from other files: save the model again, as one file`)
  if (sizeOf(dataset.shape ?? []) > mostValues)
    throw new KerasError(`weight "${name}" claims ${(dataset.shape ?? []).join(' × ')} values`)
  if (metadata.type === floatType && metadata.size === 2) return halves(rawBytes(dataset))
  const { value } = dataset
  if (value instanceof Float32Array) return value
  if (value instanceof Float64Array) return Float32Array.from(value)
  if (typeof value === 'number') return Float32Array.of(value)
  throw new KerasError(
    `weight "${name}" is of type ${JSON.stringify(dataset.dtype)}: only float16, float32 and float64 are supported`
  )
}

/** H5T_FLOAT. */
const floatType = 1

/** The library has put them into the order of WebAssembly, the little end first. */
function halves(bytes: Uint8Array): Float32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Float32Array.from({ length: bytes.length / 2 }, (_, i) => floatOf16(view.getUint16(2 * i, true)))
}

/** The library gives no halves: "Float16 not supported". */
function rawBytes({ metadata, file_id, path }: Dataset): Uint8Array {
  const length = metadata.size * metadata.total_size
  const { _malloc: allocate, _free: free } = library
  const at = allocate(length)
  if (at === 0) throw new KerasError(`weight "${path}": no memory for its ${length} bytes`)
  try {
    library.get_dataset_data(file_id, path, null, null, null, BigInt(at))
    return library.HEAPU8.slice(at, at + length)
  } finally {
    free(at)
  }
}

/** The library throws all of HDF5's trace; its last entry says what was wrong. */
function reasonOf(error: unknown): string {
  const message = String((error as Error).message)
  if (/external raw data file|EFL/.test(message))
    return 'its data lies in another file, which is not read: save the model again, as one file'
  const reasons = [...String((error as Error).message).matchAll(/\(\): (.+)$/gm)].map(([, reason]) => reason)
  return reasons.at(-1) ?? String((error as Error).message)
}

function isH5Error(error: unknown): boolean {
  return error instanceof Error && !(error instanceof KerasError) && error.message.startsWith('HDF5-DIAG')
}

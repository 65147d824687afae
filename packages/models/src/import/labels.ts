import { readFile } from 'node:fs/promises'
import { ModelError } from '../store/manifest.ts'

/**
 * The labels in a file, in index order. Takes text with one label a line, a JSON array, a JSON object by index, and Keras'
 * class index (`{"0": ["n01440764", "tench"], …}`). Throws a ModelError that names the file and the entry.
 */
export async function readLabelList(path: string): Promise<string[]> {
  const text = (await read(path)).replace(/^\uFEFF/, '')
  const labels = /^\s*[[{]/.test(text) ? fromJson(text, path) : text.trimEnd().split(/\r?\n/)
  labels.forEach((label, index) => {
    if (label.trim() === '' || /[\r\n]/.test(label))
      throw new ModelError(`${path}: label ${index} is ${JSON.stringify(label)}: a label is one line and not empty`)
  })
  return labels
}

async function read(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    throw new ModelError(`${path}: can't read the labels: ${(error as Error).message}`)
  }
}

function fromJson(text: string, path: string): string[] {
  const value = parse(text, path)
  if (Array.isArray(value)) return value.map((entry: unknown, index) => labelOf(entry, index, path))
  const entries = value as Record<string, unknown>
  return Object.keys(entries).map((_, index) => {
    if (!(index in entries))
      throw new ModelError(`${path}: has no label "${index}": keys must be 0 to ${Object.keys(entries).length - 1}`)
    return labelOf(entries[index], index, path)
  })
}

function parse(text: string, path: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new ModelError(`${path}: begins like JSON but is not: ${(error as Error).message}`)
  }
}

/** Keras gives WordNet's identifier and the label. */
function labelOf(entry: unknown, index: number, path: string): string {
  const label: unknown = Array.isArray(entry) && entry.length === 2 ? entry[1] : entry
  if (typeof label !== 'string')
    throw new ModelError(`${path}: label ${index} is ${JSON.stringify(entry)}, not a string`)
  return label
}

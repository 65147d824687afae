import { ModelError } from '../../store/error.ts'
import type { Label } from '../../store/labels.ts'
import { inOrder, type Numbered } from './label.ts'
import { isJson, jsonOfPython } from './python.ts'

/** Where the files of Hugging Face, Teachable Machine, Ultralytics and others keep their labels, the surest first. */
const wrappers = [
  'id2label',
  'labels',
  'names',
  'class_names',
  'classes',
  'categories',
  'label_names',
  'class_indices',
  'label2id'
]

/** The labels in JSON text, or in a Python list or dict, as the list of ImageNet's classes is passed around. */
export function labelsFromJsonText(text: string, path: string): Label[] {
  const json = isJson(text) ? text : (jsonOfPython(text) ?? text)
  const value = parse(json, path)
  assertNoKeyTwice(json, path)
  return labelsFromJson(value, path)
}

export function labelsFromJson(value: unknown, path: string): Label[] {
  if (Array.isArray(value)) return fromArray(value, path)
  const entries = Object.entries(value as Record<string, unknown>)
  const wrapped = wrappers.map(key => (value as Record<string, unknown>)[key]).find(isCollection)
  if (wrapped !== undefined) return labelsFromJson(wrapped, path)
  if (entries.length === 0) throw new ModelError(`${path}: holds no labels, it is an empty object`)
  return inOrder(isByLabel(entries) ? byLabel(entries) : byIndex(entries, path), path)
}

function isCollection(value: unknown): boolean {
  return typeof value === 'object' && value !== null
}

function isNumber(text: unknown): boolean {
  return /^\d{1,9}$/.test(String(text))
}

/** `{"cat": 0, "dog": 1}`, as Keras' `class_indices` and `label2id` are. Labels may be digits: `{"0": 0}`. */
function isByLabel(entries: Array<[string, unknown]>): boolean {
  const indices = entries.every(([, value]) => typeof value === 'number' && isNumber(value))
  const texts = entries.every(([key, value]) => typeof value === 'string' && isNumber(value) && !isNumber(key))
  return indices || texts
}

function byLabel(entries: Array<[string, unknown]>): Numbered[] {
  return entries.map(([label, index]) => ({ label: label.trim(), index: Number(index) }))
}

function byIndex(entries: Array<[string, unknown]>, path: string): Numbered[] {
  return entries.map(([key, value]) => {
    if (!isNumber(key))
      throw new ModelError(
        `${path}: key ${JSON.stringify(key)} is no index: an object has labels by index, or indices by label`
      )
    return { ...labelOf(value, Number(key), path), index: Number(key) }
  })
}

/** Entries may say themselves which index they are for: `[{ "id": 0, "name": "cat" }]`. */
function fromArray(values: unknown[], path: string): Label[] {
  const indices = values.map(indexOf)
  const labels = values.map((value, index) => labelOf(value, index, path))
  if (!indices.every(index => index !== undefined)) return labels
  return inOrder(
    labels.map((label, row) => ({ ...label, index: indices[row] ?? row })),
    path
  )
}

function indexOf(value: unknown): number | undefined {
  const { index, id } = (isCollection(value) ? value : {}) as { index?: unknown; id?: unknown }
  return [index, id].find(candidate => typeof candidate === 'number')
}

/** A string, Keras' `["n02123045", "tabby"]`, or `{ "label": "tabby", "id": "n02123045" }`. */
function labelOf(entry: unknown, index: number, path: string): Label {
  const [label, id] = partsOf(entry)
  if (typeof label !== 'string')
    throw new ModelError(`${path}: label ${index} is ${JSON.stringify(entry)}, not a string`)
  return { label: label.trim(), ...(typeof id === 'string' ? { id } : {}) }
}

function partsOf(entry: unknown): [label: unknown, id?: unknown] {
  if (Array.isArray(entry)) return entry.length === 2 ? [entry[1], entry[0]] : [undefined]
  if (!isCollection(entry)) return [entry]
  const { label, name, id, wnid } = entry as Record<string, unknown>
  return [label ?? name, id ?? wnid]
}

function parse(text: string, path: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new ModelError(`${path}: begins like JSON but is not: ${(error as Error).message}`)
  }
}

/** JSON.parse keeps the last of two members with the same key, and a class would lose its label without a word. */
function assertNoKeyTwice(text: string, path: string): void {
  const open: Array<Set<string>> = []
  const tokens = /"(?:[^"\\]|\\.)*"|[[\]{}]/g
  for (let token = tokens.exec(text); token !== null; token = tokens.exec(text)) {
    const [symbol] = token
    if (symbol === '{' || symbol === '[') open.push(new Set())
    else if (symbol === '}' || symbol === ']') open.pop()
    else if (isFollowedByColon(text, tokens.lastIndex)) {
      const keys = open.at(-1)
      // Escapes may write one key in two ways.
      const key = JSON.parse(symbol) as string
      if (keys?.has(key) === true) throw new ModelError(`${path}: key ${symbol} is there twice`)
      keys?.add(key)
    }
  }
}

function isFollowedByColon(text: string, from: number): boolean {
  const colon = /\s*:/y
  colon.lastIndex = from
  return colon.test(text)
}

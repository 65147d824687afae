import { Compile, Type } from '@streamsight/schema'
import { ModelError } from './error.ts'
import { parseJson } from './manifest.ts'

/** A class's name, and its identifier where it has one: ImageNet has two cranes, n02012849 and n03126707. */
export interface Label {
  label: string
  id?: string
}

const schema = Compile(
  Type.Array(
    Type.Union([
      Type.String(),
      Type.Object({ label: Type.String(), id: Type.Optional(Type.String()) }, { additionalProperties: false })
    ])
  )
)

/**
 * The labels in `bytes`, in index order. A `.json` file is an array of `{ "label": "tabby", "id": "n02123045" }`, or of
 * plain strings where there are no ids; any other file has one label a line. Throws a ModelError that names `file` and
 * the entry.
 */
export function parseLabels(bytes: Uint8Array, file: string): Label[] {
  const text = decode(bytes, file)
  if (!file.endsWith('.json'))
    return text
      .trimEnd()
      .split(/\r?\n/)
      .map(label => ({ label }))
  return fromJson(text, file).map(entry => (typeof entry === 'string' ? { label: entry } : entry))
}

/** Labels as a model directory holds them: `labels.json` where one has an id, else `labels.txt`. */
export function labelsFile(labels: readonly Label[]): { path: 'labels.json' | 'labels.txt'; text: string } {
  if (!labels.some(({ id }) => id !== undefined))
    return { path: 'labels.txt', text: labels.map(({ label }) => `${label}\n`).join('') }
  const rows = labels.map(({ label, id }) => JSON.stringify({ label, id }))
  return { path: 'labels.json', text: `[\n${rows.join(',\n')}\n]\n` }
}

function decode(bytes: Uint8Array, file: string): string {
  try {
    // Drops a byte order mark.
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new ModelError(`${file}: not UTF-8: save the labels in that encoding`)
  }
}

function fromJson(text: string, file: string): Array<string | Label> {
  const value = parseJson(text, file)
  if (schema.Check(value)) return value
  throw new ModelError(`${file}: ${faultOf(value)}`)
}

/** The schema's own words would be those of a union: that neither form fits. */
function faultOf(value: unknown): string {
  if (!Array.isArray(value)) return 'must be an array with one entry for each class'
  const index = value.findIndex(entry => !schema.Check([entry]))
  const entry = JSON.stringify(value[index]).slice(0, 100)
  return `label ${index} is ${entry}, it must be "text" or { "label": "text", "id": "text" }`
}

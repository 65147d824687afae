import { extname } from 'node:path'
import type { Label } from '../store/labels.ts'
import { ModelError } from '../store/error.ts'
import { looksLikeCsv, labelsFromCsv } from './labels/csv.ts'
import { labelsFromJson, labelsFromJsonText } from './labels/json.ts'
import { labelsFromLines } from './labels/lines.ts'
import { readTextFile } from './text-file.ts'

/**
 * The labels in a file, in index order, with ids where it has them. Understands one label a line, also numbered from 0 or 1 or
 * after a WordNet id; JSON: an array, an object by index or by label (Keras' `class_indices`), Keras' class index, and the
 * files of Teachable Machine, Hugging Face and Ultralytics that hold one of those; what Python prints of a list or dict; CSV
 * with a heading.
 * Throws a ModelError that names the file and the entry.
 */
export async function readLabelList(path: string): Promise<Label[]> {
  return parseLabels(await readTextFile(path), path)
}

/** The labels in the text of a file; `path` decides between text and CSV, and is for the message. */
export function parseLabels(text: string, path: string): Label[] {
  const lines = text.trimEnd().split(/\r\n|\n|\r/)
  if (/\.(ya?ml|pbtxt)$/i.test(path))
    throw new ModelError(`${path}: YAML and protobuf text are not read: write the labels one a line, in index order`)
  if (text.trim() === '') throw new ModelError(`${path}: holds no labels, it is empty`)
  if (/^\s*[[{]/.test(text)) return checked(labelsFromJsonText(text, path), path)
  const isCsv = looksLikeCsv(lines[0] ?? '', extname(path))
  return checked(isCsv ? labelsFromCsv(text, path) : labelsFromLines(lines, path), path)
}

/** The labels in JSON that has been read already, such as `id2label` of a `config.json`. */
export function labelsOfJson(value: unknown, path: string): Label[] {
  return checked(labelsFromJson(value, path), path)
}

/** Controls, other ends of lines, and what turns the direction of the text that follows. */
const unprintable = /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/u

/** What an answer can show on one line. */
function checked(labels: Label[], path: string): Label[] {
  for (const [index, { label, id }] of labels.entries()) {
    if (label === '' || unprintable.test(label))
      throw new ModelError(`${path}: label ${index} is ${JSON.stringify(label)}: a label is one line and not empty`)
    if (id !== undefined && (id === '' || unprintable.test(id)))
      throw new ModelError(
        `${path}: the id of label ${index} is ${JSON.stringify(id)}: an id is one line and not empty`
      )
  }
  return labels
}

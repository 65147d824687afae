import { CsvError, parse } from 'csv-parse/sync'
import { ModelError } from '../../store/error.ts'
import type { Label } from '../../store/labels.ts'
import { inOrder } from './label.ts'

const labelHeads = [
  'label',
  'labels',
  'name',
  'class_name',
  'label_name',
  'display_name',
  'class_label',
  'class',
  'category'
]
const idHeads = ['id', 'wnid', 'synset', 'synset_id', 'mid', 'code', 'uid']
/** pandas gives its index no heading. */
const indexHeads = ['index', 'idx', 'class_index', 'class_idx', 'class_id', 'label_id', 'number', 'no', '']

const delimiters = [',', ';', '\t'] as const

/** Whether a file with this first line is a table. A comma alone makes none: "tench, Tinca tinca" is a label. */
export function looksLikeCsv(firstLine: string, extension: string): boolean {
  const heads = headsOf(firstLine)
  if (extension.toLowerCase() === '.csv') return heads.length > 1 || labelHeads.includes(heads[0] ?? '')
  const known = [...labelHeads, ...idHeads, ...indexHeads]
  return heads.length > 1 && heads.every(head => known.includes(head))
}

/** Labels from the column that its heading calls so, in the order of the rows or of an index column. */
export function labelsFromCsv(text: string, path: string): Label[] {
  const all = rowsOf(text, path)
  const [first = []] = all
  const heads = headlessHeads(first) ?? first.map(normalized)
  const label = columnOf(heads, labelHeads)
  if (label === undefined) throw new ModelError(noLabelColumn(first, path))
  return toLabels(headlessHeads(first) === undefined ? all.slice(1) : all, { heads, label, path })
}

/** What the headings would be of a table that begins with its first class: `0,cat` or `n02123045,tabby`. */
function headlessHeads([first = '', ...others]: string[]): string[] | undefined {
  if (others.length !== 1) return undefined
  if (/^\d+$/.test(first.trim())) return ['index', 'label']
  return /^(n\d{8}|\/[mgt]\/\w+)$/.test(first.trim()) ? ['id', 'label'] : undefined
}

function toLabels(rows: string[][], { heads, label, path }: { heads: string[]; label: number; path: string }): Label[] {
  const ids = columnOf(heads, idHeads)
  const index = columnOf(heads, indexHeads) ?? (isIndex(rows, ids) ? ids : undefined)
  const id = ids === index ? undefined : ids
  const labels = rows.map(row => ({
    label: row[label]?.trim() ?? '',
    ...(id === undefined ? {} : { id: row[id]?.trim() ?? '' })
  }))
  if (index === undefined) return labels
  const indices = rows.map((row, at) => indexIn(row[index] ?? '', at, path))
  // Counted from 1, in the order of the rows: so are they.
  if (indices.every((value, at) => value === at + 1)) return labels
  return inOrder(
    labels.map((entry, at) => ({ ...entry, index: indices[at] ?? at })),
    path
  )
}

/** A column called "id" may hold indices as well as ids: it does where every row has a whole number there. */
function isIndex(rows: string[][], column: number | undefined): boolean {
  return column !== undefined && rows.every(row => /^\s*\d{1,9}\s*$/.test(row[column] ?? ''))
}

function indexIn(cell: string, row: number, path: string): number {
  if (!/^\s*\d{1,9}\s*$/.test(cell))
    throw new ModelError(`${path}: the index of row ${row + 1} is ${JSON.stringify(cell)}, not a whole number`)
  return Number(cell)
}

function rowsOf(text: string, path: string): string[][] {
  try {
    return parse(text, { delimiter: delimiterOf(text), skip_empty_lines: true })
  } catch (error) {
    if (!(error instanceof CsvError)) throw error
    throw new ModelError(`${path}: can't be read as CSV: ${error.message}`)
  }
}

/** The one that the first line has most of: German spreadsheets write semicolons. */
function delimiterOf(text: string): string {
  const [line = ''] = text.split(/\r\n|\n|\r/, 1)
  const [best] = delimiters.toSorted((a, b) => line.split(b).length - line.split(a).length)
  return best ?? ','
}

function headsOf(line: string): string[] {
  return line.split(delimiterOf(line)).map(normalized)
}

function normalized(head: string): string {
  return head
    .replace(/^\s*"|"\s*$/g, '')
    .trim()
    .toLowerCase()
    .replaceAll(/[ -]/g, '_')
}

/** In the order of the names: "class" is the label only where there is no better column. */
function columnOf(heads: string[], names: string[]): number | undefined {
  const name = names.find(name => heads.includes(name))
  return name === undefined ? undefined : heads.indexOf(name)
}

function noLabelColumn(heads: string[], path: string): string {
  const found = heads.map(head => JSON.stringify(head)).join(', ')
  return `${path}: no column is headed as the label (its first row is ${found}): head it "label", and "index" or "id" what else there is`
}

import { ModelError } from '../../store/error.ts'
import type { Label } from '../../store/labels.ts'

/** WordNet's `n02123045` and Open Images' `/m/01yrx`. */
const identified = /^(n\d{8}|\/[mgt]\/\w+)[\s,;:]+(\S.*)$/s
/** `0 cat`, `0: cat`, `0=cat`, `0. cat`, `(0) cat`; "3.5 mm" is no number 3. */
const numbered = /^[([]?(\d+)(?:\s*[,;:=]\s*|\s*[.)\]-]\s+|\s+)(\S.*)$/s
/** `cat: 0`, as class indices are printed. A blank alone is no sign: "Terminal 1" is a name. */
const numberedBehind = /^(\S.*?)\s*[,;:=\t]\s*(\d+)$/s
const quoted = /^(["'])(.*)\1,?$/s

/** One label a line. Ids and numbers in front of labels are taken off only where every line has one. */
export function labelsFromLines(lines: string[], path: string): Label[] {
  const trimmed = withoutQuotes(lines.map(line => line.trim()))
  return withIds(trimmed) ?? withNumbers(trimmed, path) ?? trimmed.map(label => ({ label }))
}

function withIds(lines: string[]): Label[] | undefined {
  const labels = lines.flatMap(line => {
    const [, id, label] = identified.exec(line) ?? []
    return id === undefined || label === undefined ? [] : [{ label, id }]
  })
  return labels.length === lines.length ? labels : undefined
}

/** As a column of a spreadsheet or a list in a program has them. */
function withoutQuotes(lines: string[]): string[] {
  return lines.every(line => quoted.test(line)) ? lines.map(line => line.replace(quoted, '$2').trim()) : lines
}

/**
 * Labels without the numbers in front of them, if those count the lines from 0 or 1. Labels that begin with numbers of their own
 * ("3 wheels", "1 euro", "2 euro", "5 euro") stay as they are.
 */
function withNumbers(lines: string[], path: string): Label[] | undefined {
  const inFront = entriesOf(lines, numbered)
  const entries = inFront.length === 0 ? entriesOf(lines, numberedBehind).map(turned) : inFront.map(kept)
  const names = new Set(entries.map(({ label }) => label))
  // Labels that differ only in their number need it.
  if (entries.length < lines.length || lines.length < 2 || names.size < lines.length) return undefined
  const sorted = entries.map(({ number }) => number).toSorted((a, b) => a - b)
  const first = sorted[0] ?? 0
  const counts = first <= 1 && sorted.every((number, index) => number === first + index)
  if (!counts && first > 0) return undefined
  if (!counts || entries.some(({ number }, index) => number !== first + index))
    throw new ModelError(
      `${path}: every line has a number, but they do not count the lines from 0 or 1: ` +
        'put the lines in order and leave out the numbers; where they belong to the labels, give a JSON array'
    )
  return entries.map(({ label }) => ({ label }))
}

function entriesOf(lines: string[], pattern: RegExp): Array<[first: string, second: string]> {
  return lines.flatMap(line => {
    const [, first, second] = pattern.exec(line) ?? []
    return first === undefined || second === undefined ? [] : [[first, second]]
  })
}

function kept([number, label]: [string, string]): { number: number; label: string } {
  return { number: Number(number), label }
}

function turned([label, number]: [string, string]): { number: number; label: string } {
  return { number: Number(number), label }
}

import { ModelError } from '../../store/error.ts'
import type { Label } from '../../store/labels.ts'

/** WordNet's `n02123045` and Open Images' `/m/01yrx`. */
const identified = /^(n\d{8}|\/[mgt]\/\w+)[\s,;:]+(\S.*)$/s
const numbered = /^(\d+)(?:\s*[,;:]\s*|\s+)(\S.*)$/s

/** One label a line. Ids and numbers in front of labels are taken off only where every line has one. */
export function labelsFromLines(lines: string[], path: string): Label[] {
  const trimmed = lines.map(line => line.trim())
  return withIds(trimmed) ?? withNumbers(trimmed, path) ?? trimmed.map(label => ({ label }))
}

function withIds(lines: string[]): Label[] | undefined {
  const labels = lines.flatMap(line => {
    const [, id, label] = identified.exec(line) ?? []
    return id === undefined || label === undefined ? [] : [{ label, id }]
  })
  return labels.length === lines.length ? labels : undefined
}

/**
 * Labels without the numbers in front of them, if those count the lines from 0 or 1. Labels that begin with numbers of their own
 * ("3 wheels", "1 euro", "2 euro", "5 euro") stay as they are.
 */
function withNumbers(lines: string[], path: string): Label[] | undefined {
  const entries = lines.flatMap(line => {
    const [, number, label] = numbered.exec(line) ?? []
    return number === undefined || label === undefined ? [] : [{ number: Number(number), label }]
  })
  const names = new Set(entries.map(({ label }) => label))
  // Labels that differ only in their number need it.
  if (entries.length < lines.length || lines.length < 2 || names.size < lines.length) return undefined
  const sorted = entries.map(({ number }) => number).toSorted((a, b) => a - b)
  const first = sorted[0] ?? 0
  const counts = first <= 1 && sorted.every((number, index) => number === first + index)
  if (!counts && first > 0) return undefined
  if (!counts || entries.some(({ number }, index) => number !== first + index))
    throw new ModelError(
      `${path}: every line begins with a number, but they do not count the lines from 0 or 1: put the lines in order and leave out the numbers; where they belong to the labels, give a JSON array`
    )
  return entries.map(({ label }) => ({ label }))
}

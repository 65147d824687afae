import type { Label } from '../../store/labels.ts'
import { ModelError } from '../../store/error.ts'

/** A label and the index that its file gives it. */
export interface Numbered extends Label {
  index: number
}

/** Puts labels into the order of their indices, which must be 0 to n - 1, each once. */
export function inOrder(numbered: Numbered[], path: string): Label[] {
  const ordered: Label[] = []
  for (const { index, ...label } of numbered) {
    if (ordered[index] !== undefined)
      throw new ModelError(
        `${path}: index ${index} is given twice, for ${JSON.stringify(ordered[index].label)} and ${JSON.stringify(label.label)}`
      )
    ordered[index] = label
  }
  const missing = Array.from({ length: numbered.length }, (_, index) => index).find(index => !(index in ordered))
  if (missing !== undefined)
    throw new ModelError(
      `${path}: has no label ${missing}: ${numbered.length} labels must have the indices 0 to ${numbered.length - 1}`
    )
  return ordered
}

import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Input } from '../src/index.ts'
import type { Imported } from '../src/import/import.ts'
import { writeOnnxFile, type OnnxParts } from './onnx-models.ts'

export const five = ['a', 'b', 'c', 'd', 'e']

/** Settings that a manifest has, apart from the size, and what the import says of where each comes from. */
export function pixelsOf({ model }: Imported): Omit<Input, 'width' | 'height'> {
  const { width: _, height: __, ...pixels } = model.manifest.input
  return pixels
}

export function labelsOf({ model }: Imported): string[] {
  return model.labels.map(({ label }) => label)
}

export function assertNothingAssumed({ model }: Imported): void {
  assert.equal(model.manifest.assumed, undefined)
}

/** Writes a folder of text files, and a model in it. */
export function writeRepository(
  folder: string,
  files: Record<string, unknown>,
  onnx: [string, OnnxParts] = ['model.onnx', {}]
) {
  mkdirSync(dirname(join(folder, onnx[0])), { recursive: true })
  writeOnnxFile(join(folder, onnx[0]), onnx[1])
  for (const [name, content] of Object.entries(files))
    writeFileSync(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content))
}

/** What a repository of Hugging Face says of a classifier. */
export const config = {
  architectures: ['ViTForImageClassification'],
  id2label: Object.fromEntries(five.map((label, index) => [String(index), label])),
  image_size: 8
}

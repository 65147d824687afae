import assert from 'node:assert/strict'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { importModel, type ImportOptions, type Imported } from '../src/import/import.ts'
import { verifyModel } from '../src/index.ts'
import { temporaryFolder } from './models.ts'
import { writeOnnxFile, type OnnxParts } from './onnx-models.ts'

/** A folder with what somebody has, and an empty one for models. */
export function bench(t: TestContext) {
  const [from, modelsDir] = [temporaryFolder(t), temporaryFolder(t)]
  return {
    from,
    modelsDir,
    importFrom: (file: string, options: Partial<ImportOptions> = {}) =>
      importModel({ path: join(from, file), modelsDir, ...options })
  }
}

export async function importOnnx(
  t: TestContext,
  parts: OnnxParts,
  options: Partial<ImportOptions> = {}
): Promise<Imported> {
  const { from, importFrom } = bench(t)
  writeOnnxFile(join(from, 'small.onnx'), parts)
  return await importFrom('small.onnx', options)
}

/** What an error of a model's own says. */
export const fails = (message: RegExp) => ({ code: 'MODEL', message })

/** Every file of the model has the size and the digest of its manifest. */
export async function assertVerified(modelsDir: string, name: string): Promise<void> {
  for await (const { path, fault } of verifyModel(modelsDir, name)) assert.equal(fault, undefined, path)
}

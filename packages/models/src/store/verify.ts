import { join } from 'node:path'
import { ModelError } from './error.ts'
import type { Artifact } from './manifest.ts'
import { openModel, verifyFile } from './store.ts'

/** One file of a model and what is wrong with it, if anything. */
export interface CheckedFile {
  path: string
  /** What the file is for: the manifest with its labels, or an artifact. */
  of: 'manifest and labels' | Artifact['format']
  fault?: string
}

/**
 * Checks a model file by file, reading every byte: manifest and labels first, then each file of each artifact against its size
 * and sha256. Without a good manifest nothing else can be checked, and nothing follows.
 */
export async function* verifyModel(modelsDir: string, name: string): AsyncGenerator<CheckedFile> {
  const manifestPath = join(modelsDir, name, 'manifest.json')
  const opened = await attempt(() => openModel(modelsDir, name))
  if ('fault' in opened) {
    yield { path: manifestPath, of: 'manifest and labels', fault: opened.fault }
    return
  }
  yield { path: manifestPath, of: 'manifest and labels' }
  const model = opened.value
  for (const { format, path, files } of model.manifest.artifacts) {
    if (!files.some(file => file.path === path))
      yield { path: join(model.dir, path), of: format, fault: 'not among the files of its artifact' }
    for (const file of files) {
      const checked = await attempt(() => verifyFile(model, file))
      yield { path: join(model.dir, file.path), of: format, ...('fault' in checked ? { fault: checked.fault } : {}) }
    }
  }
}

/** A ModelError as a value; any other error is none of the model's. */
async function attempt<Value>(check: () => Promise<Value>): Promise<{ value: Value } | { fault: string }> {
  try {
    return { value: await check() }
  } catch (error) {
    if (!(error instanceof ModelError)) throw error
    return { fault: error.message }
  }
}

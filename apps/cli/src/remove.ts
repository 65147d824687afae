import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline/promises'
import { ModelError } from '@streamsight/models'
import { print, type Context, type ExitCode } from './context.ts'
import { formatBytes } from './format.ts'
import { assertListed } from './models.ts'
import { stat } from 'node:fs/promises'

export interface RemoveArguments {
  name: string
  modelsDir: string
  /** Removes without asking. */
  yes: boolean
}

/** `model remove`: deletes a model's directory, after asking. Only what lies in the folder of models and has a manifest. */
export async function remove({ name, modelsDir, yes }: RemoveArguments, context: Context): Promise<ExitCode> {
  await assertListed(name, modelsDir)
  const dir = join(modelsDir, name)
  const size = formatBytes(await sizeOf(dir))
  if (!yes && !(await confirmed(`Remove ${dir} (${size})? [y/N] `, context))) {
    print(context, 'Nothing was removed.')
    return 1
  }
  await rm(dir, { recursive: true })
  print(context, `Removed ${dir} (${size}).`)
  return 0
}

async function sizeOf(dir: string): Promise<number> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true })
  const files = entries.filter(entry => entry.isFile())
  const sizes = await Promise.all(files.map(async file => (await stat(join(file.parentPath, file.name))).size))
  return sizes.reduce((sum, size) => sum + size, 0)
}

/** Without a terminal nobody can answer: the command would hang, or take silence for consent. */
async function confirmed(question: string, { output, input, signal }: Context): Promise<boolean> {
  if (output.isTTY !== true || input?.isTTY !== true)
    throw new ModelError('removing asks first, and there is no terminal to ask at: give --yes')
  const prompt = createInterface({ input, output: output as NodeJS.WritableStream })
  try {
    return /^y(es)?$/i.test((await prompt.question(question, { signal })).trim())
  } finally {
    prompt.close()
  }
}

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { ModelError } from '../../store/error.ts'
import { conversionOf, convertSavedModel, pythonPins, type PythonOptions } from './python.ts'

/** What to do with a SavedModel where Python is not to be used by us. */
export function refuseSavedModel(dir: string): ModelError {
  const name = basename(dir)
  const lines = [
    `${dir}: a TensorFlow SavedModel, which must be converted to ONNX. Give --python to do that here, ` +
      'in a Python environment that is made for it (about 1.7 GB), or do it yourself:',
    `pip install ${pythonPins.join(' ')}`,
    `python ${conversionOf(dir, `${name}.onnx`).join(' ')}`,
    `npm run model -- import ${name}.onnx --labels labels.txt`
  ]
  return new ModelError(lines.join('\n'))
}

/** Converts a SavedModel into a folder of its own, for as long as `use` takes. */
export async function withConverted<Result>(
  dir: string,
  options: PythonOptions,
  use: (path: string) => Promise<Result>
): Promise<Result> {
  const folder = await mkdtemp(join(tmpdir(), 'streamsight-converted-'))
  try {
    const output = join(folder, 'model.onnx')
    await convertSavedModel(dir, output, options)
    return await use(output)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

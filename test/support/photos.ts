/** Models that Python saved, imported with no flag but labels, on photos: the worker's answers against those of Python. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { importModel } from '@streamsight/models/import'
import type { Model } from '@streamsight/models'
import { startInference } from '../../apps/worker/src/engines/inference.ts'
import { createDecoder } from '../../apps/worker/src/pixels/decode.ts'
import { rank } from '../../apps/worker/src/rank.ts'
import { createImageWriter } from '../../apps/worker/src/tensor.ts'

const threadScript = new URL('../../apps/worker/dist/engines/thread.js', import.meta.url)
const folderOfPhotos = join(import.meta.dirname, '../../../shared/assets/photos')
const photoCount = 40
/** Of probabilities. */
const tolerance = 1e-3

type Engine = 'onnx-cpu' | 'tfjs-wasm'
/** A model in the index.json that a script writes. */
interface Saved {
  name: string
  classes: number
  files: string[]
}
/**
 * A Python program with the commands `save FOLDER`, which writes models and index.json, and `answer FOLDER`, which reads
 * MODEL.pixels and writes MODEL.output, probabilities, and MODEL.top, the best class of each photo.
 */
export interface Suite {
  python: string
  script: string
  /** After the folder, for both commands. */
  args?: readonly string[]
  engines: readonly Engine[]
  /** For the first column of the table. */
  label: string
  say: (cells: readonly string[], last: string) => void
}

/** One result for each engine and file; none where the photos are not here. */
export async function comparePhotos(suite: Suite): Promise<boolean[]> {
  if (!existsSync(folderOfPhotos)) {
    console.log('answers on photos were left out: they need ../shared/assets/photos')
    return []
  }
  const folder = mkdtempSync(join(tmpdir(), 'streamsight-photos-'))
  try {
    const photos = readdirSync(folderOfPhotos)
      .filter(name => /\.jpe?g$/i.test(name))
      .slice(0, photoCount)
      .map(name => join(folderOfPhotos, name))
    run(suite, ['save', folder, ...(suite.args ?? []), ...photos.slice(0, 12)])
    const models = JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8')) as Saved[]
    const imported = new Map<string, Model | Error>()
    for (const saved of models) await importAll(saved, { folder, imported, photos })
    run(suite, ['answer', folder, ...(suite.args ?? [])])
    const passes: boolean[] = []
    for (const saved of models) passes.push(...(await compareFiles(saved, { folder, suite, imported })))
    return passes
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function run({ python, script }: Suite, args: string[]): void {
  const { status, stderr } = spawnSync(python, [script, ...args], {
    encoding: 'utf8',
    env: { ...process.env, TF_CPP_MIN_LOG_LEVEL: '3', CUDA_VISIBLE_DEVICES: '-1' }
  })
  if (status !== 0) throw new Error(`${script} ${args[0]} failed:\n${stderr}`)
}

interface Importing {
  folder: string
  imported: Map<string, Model | Error>
  photos: readonly string[]
}

/** Every file of a model, and the pixels that the product makes of the photos for it: Keras gets the same. */
async function importAll(saved: Saved, { folder, imported, photos }: Importing): Promise<void> {
  const labels = join(folder, 'labels.txt')
  writeFileSync(labels, Array.from({ length: saved.classes }, (_, i) => `label ${i}\n`).join(''))
  for (const file of saved.files) {
    const name = file.replaceAll('.', '-')
    const options = { path: join(folder, file), name, labels, modelsDir: join(folder, 'models') }
    imported.set(
      file,
      await importModel(options)
        .then(({ model }) => model)
        .catch((error: Error) => error)
    )
  }
  const model = saved.files
    .map(file => imported.get(file))
    .find(found => found !== undefined && !(found instanceof Error))
  if (model === undefined || model instanceof Error) return
  const { input } = model.manifest
  const decoder = await createDecoder(input)
  const pixels = []
  for (const photo of photos) pixels.push(await decoder.decode(readFileSync(photo), 'jpeg'))
  await decoder.close()
  writeFileSync(join(folder, `${saved.name}.pixels`), Buffer.concat(pixels))
  writeFileSync(join(folder, `${saved.name}.shape`), JSON.stringify([pixels.length, input.height, input.width, 3]))
}

interface Comparing extends Omit<Importing, 'photos'> {
  suite: Suite
}

async function compareFiles(saved: Saved, { folder, suite, imported }: Comparing): Promise<boolean[]> {
  const passes: boolean[] = []
  const { say, label, engines } = suite
  for (const file of saved.files) {
    for (const engine of engines) {
      const row = [label, saved.name, file.slice(saved.name.length), engine]
      const model = imported.get(file)
      try {
        if (model === undefined || model instanceof Error) throw model ?? new Error('not imported')
        const { difference, same, photos } = await compareModel(saved, { folder, model, engine })
        const passed = same === photos && difference <= tolerance
        say([...row, difference.toExponential(1)], `${same} of ${photos}${passed ? '' : '   FAILED'}`)
        passes.push(passed)
      } catch (error) {
        say([...row, '–'], `FAILED: ${(error as Error).message}`)
        passes.push(false)
      }
    }
  }
  return passes
}

async function compareModel(
  { name, classes }: Saved,
  { folder, model, engine }: { folder: string; model: Model; engine: Engine }
): Promise<{ difference: number; same: number; photos: number }> {
  const { input, output } = model.manifest
  const expected = new Float32Array(new Uint8Array(readFileSync(join(folder, `${name}.output`))).buffer)
  const tops = readFileSync(join(folder, `${name}.top`))
  const pixels = readFileSync(join(folder, `${name}.pixels`))
  const bytes = input.width * input.height * 3
  const inference = await startInference({ model, choice: engine, threads: 2 }, { script: threadScript })
  const write = createImageWriter(input, inference.layout)
  const labels = Array.from({ length: classes }, (_, i) => ({ label: String(i) }))
  let [difference, same] = [0, 0]
  const photos = pixels.length / bytes
  for (let i = 0; i < photos; i++) {
    const batch = inference.allocate(bytes)
    write(pixels.subarray(i * bytes, (i + 1) * bytes), batch, 0)
    const scores = await inference.infer(batch, 1)
    const answers = rank(scores.slice(), labels, { activation: output.activation, topK: classes })
    const row = expected.subarray(i * classes, (i + 1) * classes)
    if (answers[0]?.index === tops[i]) same++
    for (const { index, probability } of answers)
      difference = Math.max(difference, Math.abs(probability - (row[index] ?? Number.NaN)))
  }
  await inference.close()
  return { difference, same, photos }
}

import { mkdtempSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { importModel } from '../../packages/models/dist/import/import.js'
import type { Model } from '../../packages/models/dist/index.js'
import { writeKerasFile } from '../../packages/models/test/h5-models.ts'
import { everyday, filesIn } from '../../packages/models/test/models.ts'
import { float, meanColours, onnxBytes } from '../../packages/models/test/onnx-graphs.ts'
import { writeOnnxFile } from '../../packages/models/test/onnx-models.ts'
import { mutant, type Seed } from './mutate.ts'

export interface ModelFuzzOptions {
  seed: number
  from: number
  to: number
  /** An import that takes longer is an offence; Infinity where the machine has other things to do. */
  slowMs: number
  /** Runs what was imported, as the command does. */
  trial?: (model: Model) => Promise<void>
  onProgress?: (done: number) => void
}

export interface ModelFuzzReport {
  /** How many were imported, and how many were refused for which kind of file. */
  outcomes: Record<string, number>
  slowest: { ms: number; index: number; origin: string }
  offences: Array<{ index: number; origin: string; what: string }>
}

/** What no import may ever get at: it lies beside the folder of the model. */
const secret = 'a secret that no model file may read'

/** Whole model files of every kind, by the name of the file that is mutated. */
export async function collectModelSeeds(): Promise<Seed[]> {
  const folder = mkdtempSync(join(tmpdir(), 'streamsight-seeds-'))
  const file = (name: string, write: (path: string) => void): Seed => {
    write(join(folder, name))
    return { name, image: readFileSync(join(folder, name)) }
  }
  try {
    await writeKerasFile(join(folder, 'keras.h5'))
    return [
      file('keras.h5', () => {}),
      file('mean.onnx', path => writeOnnxFile(path)),
      file('graph.onnx', path => writeFileSync(path, onnxBytes(scaled))),
      file('outside.onnx', path => writeOnnxFile(path, { external: '../secret' })),
      file('beside.onnx', path => writeOnnxFile(path, { external: 'weights.bin' })),
      file('model.json', path => writeFileSync(path, readFileSync(join(everyday, 'model.json'))))
    ]
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const scaled = (...[graph, picture]: Parameters<typeof meanColours>): string =>
  graph.node('Softmax', [meanColours(graph, graph.node('Mul', [picture, float(graph, [1 / 255], [])]))], { axis: 1 })

/** Imports mutants of `seeds`, one after another, and looks at what came of each. */
export async function fuzzModels(seeds: readonly Seed[], options: ModelFuzzOptions): Promise<ModelFuzzReport> {
  const report: ModelFuzzReport = { outcomes: {}, slowest: { ms: 0, index: -1, origin: '' }, offences: [] }
  const folder = mkdtempSync(join(tmpdir(), 'streamsight-fuzz-models-'))
  mkdirSync(join(folder, 'from'))
  mkdirSync(join(folder, 'models'))
  writeFileSync(join(folder, 'secret'), secret)
  writeFileSync(join(folder, 'from/weights.bin'), readFileSync(join(everyday, 'weights.bin')))
  try {
    for (let index = options.from; index < options.to; index++) {
      await tryOne(folder, { ...mutant(seeds, { seed: options.seed, index }), index }, { options, report })
      options.onProgress?.(index - options.from + 1)
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
  return report
}

async function tryOne(
  folder: string,
  { image, origin, index }: { image: Buffer; origin: string; index: number },
  { options, report }: { options: ModelFuzzOptions; report: ModelFuzzReport }
): Promise<void> {
  const name = origin.split(':')[0] ?? ''
  const [path, modelsDir] = [join(folder, 'from', name), join(folder, 'models')]
  writeFileSync(path, image)
  const { trial } = options
  const importOnce = async () => {
    const startedMs = performance.now()
    const what = await importModel({ path, modelsDir, name: 'fuzzed', force: true, size: undefined, trial }).then(
      () => 'imported',
      (error: unknown) => error
    )
    return { what, ms: performance.now() - startedMs }
  }
  const first = await importOnce()
  // What a busy machine does to one import passes; what a file does comes again.
  const { what, ms } = first.ms > options.slowMs ? await importOnce() : first
  if (ms > report.slowest.ms) report.slowest = { ms, index, origin }
  const outcome = `${name} ${what === 'imported' ? 'imported' : 'refused'}`
  report.outcomes[outcome] = (report.outcomes[outcome] ?? 0) + 1
  const wrong = wrongWith(what) ?? leaked(modelsDir) ?? (ms > options.slowMs ? `took ${Math.round(ms)} ms` : undefined)
  if (wrong !== undefined) report.offences.push({ index, origin, what: wrong })
  rmSync(path)
}

/** One sentence for a person, without a stack and of a length that can be read. */
function wrongWith(what: unknown): string | undefined {
  if (what === 'imported') return undefined
  const { code, message } = what as { code?: string; message: string }
  if (code !== 'MODEL') return `an error that nobody expected: ${String(what)}`
  if (/\n/.test(message)) return `more than one line: ${message}`
  return message.length > 2_000 ? `${message.length} characters: ${message.slice(0, 200)}` : undefined
}

function leaked(modelsDir: string): string | undefined {
  const file = filesIn(modelsDir).find(file => readFileSync(join(modelsDir, file)).includes(secret))
  return file === undefined ? undefined : `${file} holds what lies outside of the model's folder`
}

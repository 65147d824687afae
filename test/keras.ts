/** `npm run test:keras`: what Keras 2 and 3 compute, against what the artifacts made from their files compute. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readKerasH5 } from '../packages/keras/src/read-h5.ts'
import {
  best,
  largestDifference,
  probabilities,
  runOnnx,
  runTfjs,
  useWasm,
  type Images
} from '../packages/keras/test/run.ts'
import { comparePhotos } from './support/photos.ts'
import { prepareEnvironment, pythonOf, type Environment } from './support/python.ts'

const sources = join(import.meta.dirname, 'keras')
/** Keras 3 with Keras 2 as it lives on in tf_keras, and the last TensorFlow that had Keras 2 as its own. */
const environments = {
  newest: { folder: join(import.meta.dirname, '../.venv-keras'), requirements: join(sources, 'requirements.txt') },
  keras2: { folder: join(import.meta.dirname, '../.venv-keras-2'), requirements: join(sources, 'requirements-2.txt') }
} satisfies Record<string, Environment>
const python = pythonOf(environments.newest)
/** Of probabilities: what the artifacts of one model may differ by. */
const tolerance = 1e-3
const artifacts = { onnx: runOnnx, 'tfjs-layers': runTfjs }
const columns = [8, 20, 16, 13, 12] as const

/** Models with their preprocessing inside, on photos. */
const photos = { script: join(sources, 'photos.py'), engines: ['onnx-cpu', 'tfjs-wasm'], say } as const

/** A model in the index.json of save.py; a file of Keras' scores is [images, classes]. */
interface SavedModel {
  name: string
  images: number
  shape: [number, number, number]
  architecture: string | null
  files: Array<{ form: string; file: string }>
}
interface Comparison {
  difference: number
  sameBest: boolean
}

await main()

async function main(): Promise<void> {
  const obstacle = prepareEnvironment(environments.newest)
  if (obstacle !== undefined) return console.log(`Nothing was compared with Keras: ${obstacle}`)

  await useWasm()
  say(['keras', 'model', 'form', 'artifact', 'difference'], 'same best')
  const passes = [...(await compareVersion('3')), ...(await compareVersion('2'))]
  passes.push(...(await comparePhotos({ ...photos, python, args: ['3'], label: '3.15' })))
  const obstacle2 = prepareEnvironment(environments.keras2)
  if (obstacle2 === undefined)
    passes.push(
      ...(await comparePhotos({ ...photos, python: pythonOf(environments.keras2), args: ['2'], label: '2.15' }))
    )
  else console.log(`Nothing was compared with Keras 2.15: ${obstacle2}`)
  const failed = passes.filter(passed => !passed).length
  console.log(`${passes.length - failed} passed, ${failed} failed`)
  process.exitCode = failed === 0 && passes.length > 0 ? 0 : 1
}

/** One result for each artifact of each file that this version of Keras writes. */
async function compareVersion(version: '2' | '3'): Promise<boolean[]> {
  const folder = mkdtempSync(join(tmpdir(), 'streamsight-keras-'))
  try {
    const { status, stderr } = spawnSync(python, [join(sources, 'save.py'), folder, version], {
      encoding: 'utf8',
      env: { ...process.env, TF_CPP_MIN_LOG_LEVEL: '3', CUDA_VISIBLE_DEVICES: '-1' }
    })
    if (status !== 0) throw new Error(`save.py failed:\n${stderr}`)
    const models = JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8')) as SavedModel[]
    const passes: boolean[] = []
    for (const model of models) passes.push(...(await compareModel(model, { folder, version })))
    return passes
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function compareModel(
  model: SavedModel,
  { folder, version }: { folder: string; version: string }
): Promise<boolean[]> {
  const passes: boolean[] = []
  for (const { form, file } of model.files) {
    for (const artifact of ['onnx', 'tfjs-layers'] as const) {
      const row = [version, model.name, form, artifact]
      try {
        const { difference, sameBest } = await compareArtifact(model, { folder, file, artifact })
        const passed = difference <= tolerance && sameBest
        say([...row, difference.toExponential(1)], `${sameBest ? 'yes' : 'no'}${passed ? '' : '   FAILED'}`)
        passes.push(passed)
      } catch (error) {
        say([...row, '–'], `FAILED: ${(error as Error).message}`)
        passes.push(false)
      }
    }
  }
  return passes
}

async function compareArtifact(
  model: SavedModel,
  { folder, file, artifact }: { folder: string; file: string; artifact: keyof typeof artifacts }
): Promise<Comparison> {
  const network = await readKerasH5(join(folder, file))
  if (model.architecture !== (network.architecture ?? null))
    throw new Error(`taken for ${network.architecture ?? 'no well-known network'}`)
  const [height, width] = model.shape
  const images: Images = { count: model.images, height, width, data: readFloats(join(folder, `${model.name}.input`)) }
  const scores = probabilities(await artifacts[artifact](network, images), network)
  const expected = probabilities(readFloats(join(folder, `${model.name}.output`)), network)
  const differences = expected.map((row, i) => largestDifference(row, scores[i] ?? new Float32Array()))
  return {
    difference: Math.max(...differences),
    sameBest: expected.every((row, i) => best(row) === best(scores[i] ?? row.subarray(0, 0)))
  }
}

function readFloats(path: string): Float32Array {
  return new Float32Array(new Uint8Array(readFileSync(path)).buffer)
}

function say(cells: readonly string[], last: string): void {
  console.log(cells.map((cell, i) => cell.padEnd(columns[i] ?? 0)).join('') + last)
}

/** `npm run test:keras`: what Keras computes, against what the artifacts made from its files compute. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readKerasH5 } from '../packages/models/src/keras/read-h5.ts'
import { best, largestDifference, probabilities, runOnnx, runTfjs, useWasm, type Images } from '../packages/models/test/keras/run.ts'

const here = import.meta.dirname
const environment = join(here, '../.venv-keras')
const python = join(environment, process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python')
/** Of probabilities: what two artifacts of one model may differ by. */
const tolerance = 1e-3

interface SavedFile { form: string, file: string }
/** One model in save.py's index.json. */
interface SavedModel { name: string, images: number, shape: [number, number, number], classes: number, architecture: string | null, files: SavedFile[] }

process.exit(await main())

async function main (): Promise<number> {
  const missing = prepareEnvironment()
  if (missing !== undefined) {
    console.log(`not compared with Keras: ${missing}`)
    return 0
  }
  const folder = mkdtempSync(join(tmpdir(), 'streamsight-keras-'))
  try {
    return await compare(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Why Keras can't be had here; undefined if it is there. */
function prepareEnvironment (): string | undefined {
  if (existsSync(join(environment, 'complete'))) return undefined
  return undefined
}

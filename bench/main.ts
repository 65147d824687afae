/** `npm run bench`: starts the system, drives it, and says in a table what it can do and what that costs. */
import { parseArgs } from 'node:util'
import { join } from 'node:path'
import { run } from '../scripts/bootstrap.js'
import { startModelOnly } from './model-only.ts'
import { asForm, photoLike } from './pictures.ts'
import { createProgress } from './progress.ts'
import { machine, print, resultsFolder, write, type Section } from './report.ts'
import { ensureResnet50Sized, resnet50Sized } from './resnet50-sized.ts'
import { measureEfficiency, measureSystem, measureUrl, plans } from './serving.ts'
import { startSystem } from './system.ts'

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    url: { type: 'string' },
    model: { type: 'string', default: resnet50Sized },
    'models-dir': { type: 'string', default: join(resultsFolder, 'models') },
    workers: { type: 'string', default: '1' }
  }
})
const plan = flags.quick ? plans.quick : plans.full

async function main (): Promise<void> {
  const { cpu, node, redis } = machine()
  console.log(`Streamsight bench on ${cpu}, Node ${node}, Redis ${redis}`)
  const photos = await photoLike({ count: 16, width: 500, height: 375 })
  const uploads = photos.map(asForm)
  const sections = flags.url === undefined ? await benchOurs(uploads) : await benchUrl(flags.url, uploads)
  for (const section of sections) print(section)
  console.log(`\nWritten: ${(await write('serving', sections)).join(', ')}`)
}

async function benchUrl (url: string, uploads: ReturnType<typeof asForm>[]): Promise<Section[]> {
  const progress = createProgress((plan.clients.length + plan.arrivals.length) * plan.forMs)
  const section = await measureUrl(url, { uploads, plan, progress })
  progress.stop()
  return [section]
}

async function benchOurs (uploads: ReturnType<typeof asForm>[]): Promise<Section[]> {
  const startingMs = 25_000
  const progress = createProgress(startingMs + (plan.clients.length + plan.arrivals.length + 3.5 * plan.rounds) * plan.forMs)
  const { model, 'models-dir': modelsDir } = flags
  if (model === resnet50Sized) ensureResnet50Sized(modelsDir)
  progress.step('starting the system')
  const system = await startSystem({ workers: Number(flags.workers), env: { MODELS: model, MODELS_DIR: modelsDir } })
  progress.step('loading the model alone')
  const modelOnly = await startModelOnly({ modelsDir, model, batchSize: system.maxBatch })
  try {
    const efficiency = await measureEfficiency(system, modelOnly, { uploads, plan, progress })
    const title = `${model} on ${modelOnly.engine}, batches of at most ${system.maxBatch}; 500 × 375 JPEGs of ${Math.round((uploads[0]?.body.length ?? 0) / 1_024)} KB; milliseconds`
    const serving = await measureSystem(system, { title, uploads, plan, progress })
    return [efficiency, serving]
  } finally {
    progress.stop()
    modelOnly.stop()
    await system.stop()
  }
}

await run(main)

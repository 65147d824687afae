/** `npm run bench`: starts the system, drives it, and says in a table what it can do and what that costs. */
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { run } from '../scripts/bootstrap.js'
import { measureFleet } from './fleet.ts'
import { measureCostOfGrowth } from './growth.ts'
import { startModelOnly } from './model-only.ts'
import { measurePeers } from './peers.ts'
import { asForm, photoLike } from './pictures.ts'
import { createProgress } from './progress.ts'
import { machine, print, resultsFolder, write, type Section } from './report.ts'
import { ensureResnet50Sized, resnet50Sized } from './resnet50-sized.ts'
import { measureEfficiency, measureSystem, measureUrl, plans, type Conditions } from './serving.ts'
import { startSystem } from './system.ts'
import { measureTransport } from './transport.ts'

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    url: { type: 'string' },
    model: { type: 'string', default: resnet50Sized },
    'models-dir': { type: 'string', default: join(resultsFolder, 'models') },
    transport: { type: 'boolean', default: false },
    fleet: { type: 'boolean', default: false },
    growth: { type: 'boolean', default: false },
    peers: { type: 'boolean', default: false }
  }
})

/** What can be measured, and about how many times `plan.forMs` it takes; the first is what no flag asks for. */
const parts = {
  serving: { lengths: 25, measure: measureServing },
  transport: { lengths: 8, measure: async conditions => [await measureTransport(conditions)] },
  fleet: { lengths: 40, measure: measureFleet },
  growth: { lengths: 20, measure: measureCostOfGrowth },
  peers: { lengths: 100, measure: measurePeers }
} satisfies Record<string, { lengths: number; measure: (conditions: Conditions) => Promise<Section[]> }>

async function main(): Promise<void> {
  const { cpu, node, redis } = machine()
  console.log(`Streamsight bench on ${cpu}, Node ${node}, Redis ${redis}`)
  const plan = flags.quick ? plans.quick : plans.full
  const photos = await photoLike({ count: 16, width: 500, height: 375 })
  const chosen = (['transport', 'fleet', 'growth', 'peers'] as const).filter(name => flags[name])
  const names = chosen.length > 0 ? chosen : (['serving'] as const)
  const progress = createProgress(names.reduce((sum, name) => sum + parts[name].lengths, 0) * plan.forMs)
  const sections: Section[] = []
  try {
    for (const name of names)
      sections.push(...(await parts[name].measure({ uploads: photos.map(asForm), plan, progress })))
  } finally {
    progress.stop()
  }
  for (const section of sections) print(section)
  console.log(`\nWritten: ${(await write(names.join('-'), sections)).join(', ')}`)
}

async function measureServing(conditions: Conditions): Promise<Section[]> {
  if (flags.url !== undefined) return [await measureUrl(flags.url, conditions)]
  const { model, 'models-dir': modelsDir } = flags
  conditions.progress.step('starting the system')
  if (model === resnet50Sized) ensureResnet50Sized(modelsDir)
  const system = await startSystem({ env: { MODELS: model, MODELS_DIR: modelsDir } })
  const modelOnly = await startModelOnly({ modelsDir, model, batchSize: system.maxBatch })
  const sections: Section[] = []
  try {
    const kilobytes = Math.round((conditions.uploads[0]?.body.length ?? 0) / 1_024)
    const title = `${model} on ${modelOnly.engine}, batches of at most ${system.maxBatch}; 500 × 375 JPEGs of ${kilobytes} KB; milliseconds`
    sections.push(
      await measureEfficiency(system, modelOnly, conditions),
      await measureSystem(system, title, conditions)
    )
  } finally {
    modelOnly.stop()
    const last = await system.stop()
    sections
      .at(-1)
      ?.findings.push(
        `Event-loop delay (p99): ${last.map(({ name, eventLoopDelay }) => `${name} ${eventLoopDelay?.p99Ms ?? NaN} ms`).join(', ')}.`
      )
  }
  return sections
}

await run(main)

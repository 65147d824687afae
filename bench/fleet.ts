import { figuresOf, percentile, countBy } from './figures.ts'
import { closedLoop, openLoop } from './load.ts'
import { observe } from './observe.ts'
import type { Section } from './report.ts'
import { cpuColumns, type Conditions } from './serving.ts'
import { simulatedWorker, startSystem, type System } from './system.ts'

/** t(n) = a + b · n: what a batch of n takes on some engine, in milliseconds. */
interface Curve {
  name: string
  aMs: number
  bMs: number
}

const gpu: Curve = { name: 'a GPU, 4 + 0.5·n ms', aMs: 4, bMs: 0.5 }
const slowGpu: Curve = { name: 'a larger model, 20 + 4·n ms', aMs: 20, bMs: 4 }
const cpu: Curve = { name: 'ResNet-50 on two cores, 40·n ms', aMs: 0, bMs: 40 }

const sizes = [1, 2, 4, 8, 16]

/** Two batches of the largest size for each worker: one on the engine and one being decoded. */
const clientsOfWorker = 64

const env = { MAX_QUEUE_DEPTH: '100000', MAX_IN_FLIGHT: '4096' }

/** Does throughput grow with the workers, and is the work shared fairly? The engines only wait, so that one machine can hold sixteen. */
export async function measureFleet(conditions: Conditions): Promise<Section[]> {
  const growth = [
    await measureGrowth(gpu, conditions),
    await measureGrowth(slowGpu, conditions),
    await measureGrowth(cpu, conditions)
  ]
  return [...growth, await measureSlowWorker(conditions)]
}

async function measureGrowth(curve: Curve, { uploads, plan: { forMs }, progress }: Conditions): Promise<Section> {
  const rows: Section['rows'] = []
  let single = 0
  for (const workers of sizes) {
    progress.step(`${workers} × ${curve.name}`)
    const system = await startSystem({ workers, workerArgs: simulatedWorker, env: { ...env, ...curveEnv(curve) } })
    const load = {
      url: system.url,
      uploads,
      clients: Math.max(2 * workers, Math.min(workers * clientsOfWorker, 1_024))
    }
    await closedLoop({ ...load, durationMs: forMs / 4 })
    const since = Date.now()
    const figures = await observe(system, () => closedLoop({ ...load, durationMs: forMs }))
    const jobs = jobsOfWorkers(system, since)
    await system.stop()
    if (workers === 1) single = figures.imagesPerSecond
    rows.push({
      workers: String(workers),
      'images/s': figures.imagesPerSecond,
      'share of linear': figures.imagesPerSecond / (workers * single),
      p50: figures.p50Ms,
      p99: figures.p99Ms,
      'busiest ÷ idlest': Math.max(...jobs) / Math.min(...jobs),
      errors: Object.values(figures.errors).reduce((a, b) => a + b, 0),
      ...cpuColumns(figures.cpuMsPerImage)
    })
  }
  return { title: `A fleet by simulation: ${curve.name}`, rows, findings: [] }
}

/** Of three workers and a fourth that is five times slower: what do the clients of the three notice? */
async function measureSlowWorker({ uploads, plan: { forMs }, progress }: Conditions): Promise<Section> {
  const rows: Section['rows'] = []
  for (const slowdown of [1, 5, 1, 5]) {
    progress.step(`a worker ${slowdown} × as slow`)
    const slow = { aMs: slowGpu.aMs * slowdown, bMs: slowGpu.bMs * slowdown }
    const system = await startSystem({
      workers: 4,
      workerArgs: simulatedWorker,
      env: { ...env, ...curveEnv(slowGpu) },
      workerEnv: slot => (slot === 4 ? curveEnv(slow) : {})
    })
    const since = Date.now()
    const figures = figuresOf(await openLoop({ url: system.url, uploads, perSecond: 200, durationMs: forMs }))
    const requests = system.linesOf('gateway').filter(({ event, time }) => event === 'request' && time >= since)
    const timesOf = (isSlow: boolean) =>
      requests
        .filter(({ worker = '' }) => worker.endsWith('-4') === isSlow)
        .map(({ ms = NaN }) => ms)
        .toSorted((a, b) => a - b)
    await system.stop()
    rows.push({
      'fourth worker': slowdown === 1 ? 'like the others' : `${slowdown} × as slow`,
      'images/s': figures.imagesPerSecond,
      'p50 of the three': percentile(timesOf(false), 0.5),
      'p99 of the three': percentile(timesOf(false), 0.99),
      'p50 of the fourth': percentile(timesOf(true), 0.5),
      'share of the fourth': timesOf(true).length / requests.length
    })
  }
  return { title: `One slow worker among four (${slowGpu.name}), 200 pictures a second`, rows, findings: [] }
}

function curveEnv({ aMs, bMs }: Pick<Curve, 'aMs' | 'bMs'>): Record<string, string> {
  return { SIMULATED_A_MS: String(aMs), SIMULATED_B_MS: String(bMs) }
}

/** How many jobs each worker finished. */
function jobsOfWorkers(system: System, since: number): number[] {
  const requests = system
    .linesOf('gateway')
    .filter(({ event, time, worker }) => event === 'request' && time >= since && worker !== undefined)
  return Object.values(countBy(requests, ({ worker = '' }) => worker))
}

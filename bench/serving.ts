import { figuresOf, listErrors, median, type Figures } from './figures.ts'
import { closedLoop, openLoop, type LoadResult, type Upload } from './load.ts'
import type { ModelOnly } from './model-only.ts'
import { observe, type Cost } from './observe.ts'
import type { Progress } from './progress.ts'
import type { Section } from './report.ts'
import type { System } from './system.ts'

/** How long and how often things are measured. */
export interface Plan {
  rounds: number
  /** Rounds through all contenders of `--peers`: they are many. */
  peerRounds: number
  forMs: number
  clients: number[]
  /** Shares of the closed loop's throughput at which pictures arrive in the open loop. */
  arrivals: number[]
}

/** What every part of the bench is given. */
export interface Conditions {
  uploads: Upload[]
  plan: Plan
  progress: Progress
}

export const plans = {
  quick: { rounds: 2, peerRounds: 1, forMs: 4_000, clients: [1, 32], arrivals: [0.7] },
  full: { rounds: 3, peerRounds: 3, forMs: 10_000, clients: [1, 8, 32, 128], arrivals: [0.5, 0.7, 0.9] }
} satisfies Record<string, Plan>

/** Clients that keep any worker here busy. */
const saturating = 32

/** A load by closed and open loop, on a server that is only known by its address. */
export async function measureUrl(url: string, conditions: Conditions): Promise<Section> {
  return await loads(async load => figuresOf(await load(url)), url, conditions)
}

/** The same on our own system, with what each picture costs. */
export async function measureSystem(system: System, title: string, conditions: Conditions): Promise<Section> {
  return await loads(load => observe(system, () => load(system.url)), title, conditions)
}

type Measure = (load: (url: string) => Promise<LoadResult>) => Promise<Figures & Partial<Cost>>

async function loads(measure: Measure, title: string, { uploads, plan, progress }: Conditions): Promise<Section> {
  const rows: Section['rows'] = []
  const points: NonNullable<Section['points']> = []
  let best = 0
  for (const clients of plan.clients) {
    progress.step(`${clients} client${clients === 1 ? '' : 's'}`)
    const figures = await measure(url => closedLoop({ url, uploads, clients, durationMs: plan.forMs }))
    best = Math.max(best, figures.imagesPerSecond)
    rows.push(rowOf(`${clients} client${clients === 1 ? '' : 's'}, closed loop`, figures))
    points.push({ series: 'closed loop', ...figures })
  }
  for (const share of plan.arrivals) {
    progress.step(`arrivals at ${share * 100} %`)
    const figures = await measure(url => openLoop({ url, uploads, perSecond: share * best, durationMs: plan.forMs }))
    rows.push(rowOf(`${(share * best).toFixed(0)} a second, open loop`, figures))
    points.push({ series: 'open loop', ...figures })
  }
  return {
    title,
    rows,
    findings: [],
    points: points.map(({ series, imagesPerSecond, p50Ms, p99Ms }) => ({ series, imagesPerSecond, p50Ms, p99Ms }))
  }
}

/** Milliseconds, images a second and shares, in the order in which one asks for them. */
export function rowOf(
  load: string,
  { imagesPerSecond, p50Ms, p90Ms, p99Ms, p999Ms, errors, stagesMs, ...cost }: Figures & Partial<Cost>
): Record<string, string | number> {
  const row: Record<string, string | number> = {
    load,
    'images/s': imagesPerSecond,
    p50: p50Ms,
    p90: p90Ms,
    p99: p99Ms,
    'p99.9': p999Ms,
    errors: listErrors(errors)
  }
  for (const [stage, ms] of Object.entries(stagesMs)) if (stage !== 'total') row[stage] = ms
  if (cost.batchFill !== undefined) row['batch fill'] = cost.batchFill
  Object.assign(row, cpuColumns(cost.cpuMsPerImage))
  if (cost.redisBytesPerImage !== undefined) row['Redis KB'] = cost.redisBytesPerImage / 1_024
  for (const [name, mb] of Object.entries(cost.peakRssMb ?? {})) row[`${name} MB`] = mb
  return row
}

export function cpuColumns(cpuMsPerImage: Record<string, number> = {}): Record<string, number> {
  return Object.fromEntries(Object.entries(cpuMsPerImage).map(([name, ms]) => [`${name} CPU ms`, ms]))
}

/**
 * Serving efficiency: images a second over HTTP ÷ images a second of the model alone, and how much longer one picture takes
 * than the model, in turn A B A B: what one share of the run suffers from a noisy machine, the other does as well.
 */
export async function measureEfficiency(
  system: System,
  model: ModelOnly,
  { uploads, plan: { rounds, forMs }, progress }: Conditions
): Promise<Section> {
  const rows: Section['rows'] = []
  progress.step('warming up')
  // The model alone has run all its code before it is measured, and the system must have, too.
  await closedLoop({ url: system.url, uploads, clients: saturating, durationMs: forMs })
  for (let round = 1; round <= rounds; round++) {
    progress.step(`efficiency, round ${round} of ${rounds}`)
    const alone = await model.imagesPerSecond(forMs)
    const served = figuresOf(
      await closedLoop({ url: system.url, uploads, clients: saturating, durationMs: forMs })
    ).imagesPerSecond
    const aloneMs = await model.latencyMs(forMs / 2)
    const servedMs = figuresOf(await closedLoop({ url: system.url, uploads, clients: 1, durationMs: forMs })).p50Ms
    rows.push({
      round: String(round),
      'model images/s': alone,
      'served images/s': served,
      efficiency: served / alone,
      'model ms': aloneMs,
      'served p50 ms': servedMs,
      'times longer': servedMs / aloneMs
    })
  }
  const medianOf = (column: string) => median(rows.map(row => Number(row[column])))
  return {
    title: `Serving efficiency: ${saturating} clients against the model alone, and one client`,
    rows,
    findings: [
      `Serving efficiency ${medianOf('efficiency').toFixed(2)}: ${medianOf('served images/s').toFixed(1)} of ${medianOf('model images/s').toFixed(1)} images/s.`,
      `One picture takes ${medianOf('times longer').toFixed(2)} times as long as the model alone: ${(medianOf('served p50 ms') - medianOf('model ms')).toFixed(1)} ms more.`
    ]
  }
}

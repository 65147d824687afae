import pidusage from 'pidusage'
import { figuresOf, type Figures } from './figures.ts'
import type { LoadResult } from './load.ts'
import type { System } from './system.ts'

/** What a load cost the processes of a system. */
export interface Cost {
  /** CPU milliseconds an image, by process; workers together. `generator` is the bench itself. */
  cpuMsPerImage: Record<string, number>
  /** Highest resident memory seen, in megabytes, by process; of workers the largest. */
  peakRssMb: Record<string, number>
  /** Bytes that went into and out of Redis, an image. */
  redisBytesPerImage: number
  /** Images in a batch on average, as a share of the largest batch. */
  batchFill: number
}

/** How often memory is looked at. */
const sampleMs = 500

/** Puts a load on a system and watches what it costs. */
export async function observe(system: System, load: () => Promise<LoadResult>): Promise<Figures & Cost> {
  const beforeCpu = await cpuOf(system)
  const beforeBytes = (await system.redisBytes()).moved
  const since = Date.now()
  const peaks: Record<string, number> = {}
  const timer = setInterval(() => void notePeaks(system, peaks), sampleMs)
  const figures = figuresOf(await load().finally(() => clearInterval(timer)))
  const [afterCpu, afterBytes] = [await cpuOf(system), (await system.redisBytes()).moved]
  await notePeaks(system, peaks)
  const jobs = Math.max(1, figures.ok)
  return {
    ...figures,
    cpuMsPerImage: Object.fromEntries(
      Object.entries(afterCpu).map(([name, ms]) => [name, (ms - (beforeCpu[name] ?? 0)) / jobs])
    ),
    peakRssMb: peaks,
    redisBytesPerImage: (afterBytes - beforeBytes) / jobs,
    batchFill: batchFillOf(system, since)
  }
}

/** CPU milliseconds since each process began. */
async function cpuOf(system: System): Promise<Record<string, number>> {
  const usage = await pidusage(Object.values(system.pids))
  const own = process.cpuUsage()
  const total: Record<string, number> = { generator: (own.user + own.system) / 1_000 }
  for (const [name, pid] of Object.entries(system.pids))
    total[kindOf(name)] = (total[kindOf(name)] ?? 0) + (usage[pid]?.ctime ?? 0)
  return total
}

async function notePeaks(system: System, peaks: Record<string, number>): Promise<void> {
  const usage = await pidusage(Object.values(system.pids))
  for (const [name, pid] of Object.entries(system.pids))
    peaks[kindOf(name)] = Math.max(peaks[kindOf(name)] ?? 0, (usage[pid]?.memory ?? 0) / 2 ** 20)
}

function kindOf(name: string): string {
  return name.startsWith('worker') ? 'worker' : name
}

function batchFillOf(system: System, since: number): number {
  const lines = Object.keys(system.pids)
    .filter(name => name.startsWith('worker'))
    .flatMap(system.linesOf)
  const sizes = lines.flatMap(({ event, time, batchSize }) =>
    event === 'job' && time >= since && batchSize ? [batchSize] : []
  )
  // Each image of a batch of n has a line: n lines are one batch.
  return sizes.length / sizes.reduce((batches, size) => batches + 1 / size, 0) / system.maxBatch
}

import { createBatchAssembly, type BatchAssemblyOptions } from './batch-assembly.ts'
import type { Condition } from './condition.ts'
import { batchMs, waitingPays } from './latency.ts'
import type { WarmUp } from './warm-up.ts'

/** Jobs and their pixels, ready for the engine. */
export interface Batch<Job> {
  jobs: Job[]
  /** The pixels of the jobs, in their order, and room for padding. */
  input: Float32Array
  startedAtMs: number
}

export interface GatherOptions<Job> extends Omit<BatchAssemblyOptions, 'capacity'> {
  warm: WarmUp
  /** The longest that a batch waits for images that are being decoded. */
  maxDelayMs: number
  /** Milliseconds until each image that is being decoded is likely to be ready. */
  decodingMs: () => number[]
  /** Milliseconds until nobody waits for the job's answer any more. */
  remainingMs: (job: Job) => number
  /** Changes whenever an image has been decoded, or could not be. */
  condition: Condition
}

/** Decoded images on their way to the engine: the next batch gathers here while the engine runs the one before. */
export function createGather<Job extends { rgb: Uint8Array }>(options: GatherOptions<Job>) {
  const { warm, maxDelayMs, decodingMs, remainingMs, condition } = options
  const capacity = Math.max(warm.maxBatch, ...warm.sizes)
  const gathered = createBatchAssembly<Job>({ ...options, capacity })

  return {
    get size(): number {
      return gathered.jobs.length
    },

    add: (job: Job): void => gathered.add(job),

    /** Resolves when the next batch should run: waits while that pays, and no job would be answered too late for it. */
    async untilDue(): Promise<void> {
      const spareMs = gathered.jobs.map(job => remainingMs(job) - 2 * batchMs(warm.latency, warm.maxBatch))
      const endMs = performance.now() + Math.min(maxDelayMs, ...spareMs)
      while (performance.now() < endMs && pays(gathered.jobs.length)) await condition.next(endMs - performance.now())
    },

    /** What has gathered, as a batch of the jobs that still have a deadline ahead; the others are in `expired`. */
    take(): { batch: Batch<Job>; expired: Job[] } {
      const { jobs, input } = gathered.take()
      const live = jobs.filter(job => remainingMs(job) >= 0)
      const batch = live.length === jobs.length ? { jobs, input, startedAtMs: performance.now() } : assemble(live)
      return { batch, expired: jobs.filter(job => !live.includes(job)) }
    },

    assemble
  }

  function pays(ready: number): boolean {
    return ready > 0 && ready < warm.maxBatch && waitingPays(warm.latency, ready, decodingMs())
  }

  /** A batch of these jobs alone. */
  function assemble(jobs: Job[]): Batch<Job> {
    const assembly = createBatchAssembly<Job>({ ...options, capacity })
    for (const job of jobs) assembly.add(job)
    return { ...assembly.take(), startedAtMs: performance.now() }
  }
}

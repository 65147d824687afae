import type { Logger } from '@streamsight/service'
import type { Inference } from '../engines/inference.ts'
import { withWatchdog, type OnWedged } from '../watchdog.ts'
import type { Batch } from './gather.ts'
import { batchMs, runSize } from './latency.ts'
import type { Rate } from './rate.ts'
import type { WarmUp } from './warm-up.ts'

export interface BatchRunOptions<Job> {
  inference: Inference
  warm: WarmUp
  rate: Rate
  /** Floats in one image. */
  imageValues: number
  /** Scores of one image. */
  classes: number
  /** Makes a batch of these jobs alone. */
  assemble: (jobs: Job[]) => Batch<Job>
  /** Called once for each job; without scores where the model failed on it. */
  settle: (job: Job, batch: Batch<Job>, scores: Float32Array | undefined) => void
  log: Logger
  onWedged: OnWedged
}

/** An engine's batch may take ten times what warm-up measured, and never less than this, before it counts as hung. */
const patienceMs = 10_000

/**
 * Runs batches on the engine. When a batch fails its images run again one by one, so that one image cannot fail the
 * others.
 */
export function createBatchRun<Job>(options: BatchRunOptions<Job>) {
  const { inference, warm, rate, imageValues, classes, assemble, settle, log, onWedged } = options
  return run

  async function run(batch: Batch<Job>): Promise<void> {
    const { jobs } = batch
    if (jobs.length === 0) return
    const [only, ...more] = jobs
    const scores = await infer(batch).catch((error: unknown) => {
      log.error({ event: 'batch-failed', batchSize: jobs.length, err: error }, 'The engine failed on a batch')
    })
    if (scores !== undefined) {
      for (const [index, job] of jobs.entries())
        settle(job, batch, scores.subarray(index * classes, (index + 1) * classes))
    } else if (only !== undefined && more.length === 0) {
      settle(only, batch, undefined)
    } else {
      for (const job of jobs) await run(assemble([job]))
    }
  }

  /** Scores of the jobs, and of whatever the batch was padded with. */
  async function infer({ jobs, input }: Batch<Job>): Promise<Float32Array> {
    const size = runSize(warm.sizes, jobs.length)
    const limitMs = Math.max(patienceMs, 10 * batchMs(warm.latency, size))
    const startedAtMs = performance.now()
    const scores = await withWatchdog(
      { what: `a batch of ${size}`, ms: limitMs, onWedged },
      inference.infer(input.subarray(0, size * imageValues), size)
    )
    rate.ran(size, performance.now() - startedAtMs)
    if (scores.length !== size * classes)
      throw new Error(`the model gave ${scores.length} scores for ${size} images of ${classes} classes`)
    return scores
  }
}

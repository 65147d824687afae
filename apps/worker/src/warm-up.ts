import { chooseBatchLimit, fitLatency, warmUpSizes, type Latency, type Measured } from './batch.ts'
import type { Inference } from './engines/inference.ts'

/** What was learnt before the worker took its first job. */
export interface WarmUp { latency: Latency, maxBatch: number, measured: Measured[] }

/** A slow model is not measured to the last size: warming up must not take minutes. */
const budgetMs = 10_000

/**
 * Runs every batch size that may be used twice, the first time for the engine to allocate and compile, the second to be
 * measured. `values` is the number of floats in one image.
 */
export async function warmUp ({ infer }: Pick<Inference, 'infer'>, { values, maxSize }: { values: number, maxSize: number }): Promise<WarmUp> {
  const started = performance.now()
  const measured: Measured[] = []
  for (const size of warmUpSizes(maxSize)) {
    await infer(new Float32Array(size * values), size)
    const before = performance.now()
    await infer(new Float32Array(size * values), size)
    measured.push({ size, ms: performance.now() - before })
    if (performance.now() - started > budgetMs) break
  }
  const latency = fitLatency(measured)
  return { latency, maxBatch: chooseBatchLimit(latency, measured.map(({ size }) => size)), measured }
}

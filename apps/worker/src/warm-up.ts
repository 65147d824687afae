import { chooseBatchLimit, fitLatency, warmUpSizes, type Latency, type Measured } from './batch.ts'
import type { BatchSizes } from './engine.ts'
import type { Inference } from './engines/inference.ts'

/** What was learnt before the worker took its first job. */
export interface WarmUp {
  latency: Latency
  /** Most images in one batch. */
  maxBatch: number
  /** To which a batch is padded; none where the engine takes any at full speed. */
  sizes: number[]
  measured: Measured[]
}

export interface WarmUpOptions {
  /** Floats in one image. */
  values: number
  maxSize: number
}

/** A slow model is not measured to the last size: warming up must not take longer than this. */
const budgetMs = 10_000

/** The least of several runs is what the engine takes where nothing disturbs it; a batch that is long by itself is disturbed less. */
const runs = 5
const enoughMs = 200

/**
 * Runs every batch size that may be used, and fits the curve from which the largest is chosen. No larger one is tried than can be of
 * use: where images take 40 ms each whatever the size, four sizes say so.
 */
export async function warmUp ({ infer, batchSizes }: Pick<Inference, 'infer' | 'batchSizes'>, { values, maxSize }: WarmUpOptions): Promise<WarmUp> {
  if (batchSizes.kind === 'fixed') return await warmUpFixed(infer, { values, size: batchSizes.size, maxSize })
  const sizes = warmUpSizes(maxSize)
  const started = performance.now()
  const measured: Measured[] = []
  for (const size of sizes) {
    const ms = await measure(infer, size, values)
    measured.push({ size, ms })
    // Of three sizes one that was disturbed would still bend the line.
    if (measured.length > 3 && 2 * chooseBatchLimit(fitLatency(measured), sizes) <= size) break
    // The next size runs at least twice, and takes up to twice as long.
    if (performance.now() - started + 4 * ms > budgetMs) break
  }
  const latency = fitLatency(measured)
  const maxBatch = chooseBatchLimit(latency, measured.map(({ size }) => size))
  return { latency, maxBatch, sizes: paddedSizes(batchSizes, measured, maxBatch), measured }
}

/** A model exported for one size takes as long for one image as for all. */
async function warmUpFixed (infer: Inference['infer'], { size, values, maxSize }: WarmUpOptions & { size: number }): Promise<WarmUp> {
  const ms = await measure(infer, size, values)
  return { latency: { aMs: ms, bMs: 0 }, maxBatch: Math.min(size, maxSize), sizes: [size], measured: [{ size, ms }] }
}

function paddedSizes ({ kind }: BatchSizes, measured: Measured[], maxBatch: number): number[] {
  return kind === 'compiled' ? measured.map(({ size }) => size).filter(size => size <= maxBatch) : []
}

/** Milliseconds of a run. The first, in which the engine allocates and compiles, does not count. */
async function measure (infer: Inference['infer'], size: number, values: number): Promise<number> {
  await infer(new Float32Array(size * values), size)
  let least = Infinity
  const started = performance.now()
  for (let run = 0; run < runs && performance.now() - started < enoughMs; run++) {
    const input = new Float32Array(size * values)
    const before = performance.now()
    await infer(input, size)
    least = Math.min(least, performance.now() - before)
  }
  return least
}

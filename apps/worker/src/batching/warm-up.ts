import { chooseBatchLimit, fitLatency, warmUpSizes, type Latency, type Measured } from './latency.ts'
import type { BatchSizes } from '../engines/engine.ts'
import type { Inference } from '../engines/inference.ts'

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

/**
 * The sizes are measured in several rounds, and the least of each counts: what disturbs a start, other processes' starts say, passes.
 * A second round is always worth its time; more only where they are quick.
 */
const rounds = 5
const quickMs = 1_500

/**
 * Runs every batch size that may be used, and fits the curve from which the largest is chosen. No larger one is tried than can be of
 * use: where images take 40 ms each whatever the size, five sizes say so.
 */
export async function warmUp(
  { allocate, infer, batchSizes }: Pick<Inference, 'allocate' | 'infer' | 'batchSizes'>,
  { values, maxSize }: WarmUpOptions
): Promise<WarmUp> {
  const started = performance.now()
  const elapsedMs = () => performance.now() - started
  const run = async (size: number): Promise<number> => {
    const input = allocate(size * values)
    const beforeMs = performance.now()
    await infer(input, size)
    return performance.now() - beforeMs
  }
  const sizes = batchSizes.kind === 'fixed' ? [batchSizes.size] : warmUpSizes(maxSize)

  let measured: Measured[] = []
  for (const size of sizes) {
    // The first run, in which the engine allocates and compiles, does not count.
    await run(size)
    measured.push({ size, ms: await run(size) })
    if (isEnough(measured, { sizes, leftMs: budgetMs - elapsedMs() })) break
  }
  for (let round = 1; round < rounds; round++) {
    const roundMs = measured.reduce((sum, { ms }) => sum + ms, 0)
    if (elapsedMs() + roundMs > (round === 1 ? budgetMs : quickMs)) break
    measured = await measureAgain(measured, run)
  }

  const latency = batchSizes.kind === 'fixed' ? flat(measured) : fitLatency(measured)
  const maxBatch =
    batchSizes.kind === 'fixed'
      ? Math.min(batchSizes.size, maxSize)
      : chooseBatchLimit(
          latency,
          measured.map(({ size }) => size)
        )
  return { latency, maxBatch, sizes: paddedSizes(batchSizes, measured, maxBatch), measured }
}

/** Whether larger sizes can't be of use, or would take too long. */
function isEnough(measured: Measured[], { sizes, leftMs }: { sizes: number[]; leftMs: number }): boolean {
  const { size, ms } = measured.at(-1) ?? { size: 0, ms: 0 }
  // Of three sizes one that was disturbed would still bend the line.
  if (measured.length > 3 && 2 * chooseBatchLimit(fitLatency(measured), sizes) <= size) return true
  // The next size runs twice, and takes up to twice as long.
  return 4 * ms > leftMs
}

async function measureAgain(measured: Measured[], run: (size: number) => Promise<number>): Promise<Measured[]> {
  const again: Measured[] = []
  for (const { size, ms } of measured) again.push({ size, ms: Math.min(ms, await run(size)) })
  return again
}

/** A model exported for one size takes as long for one image as for all. */
function flat(measured: Measured[]): Latency {
  return { aMs: measured[0]?.ms ?? 0, bMs: 0 }
}

function paddedSizes(batchSizes: BatchSizes, measured: Measured[], maxBatch: number): number[] {
  switch (batchSizes.kind) {
    case 'any':
      return []
    case 'compiled':
      return measured.map(({ size }) => size).filter(size => size <= maxBatch)
    case 'fixed':
      return [batchSizes.size]
  }
}

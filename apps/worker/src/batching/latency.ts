/** How long a batch takes: t(n) = a + b·n, in milliseconds. */
export interface Latency {
  aMs: number
  bMs: number
}

/** A batch size and how long it took. */
export interface Measured {
  size: number
  ms: number
}

/** Batch sizes to warm up: 1, 2, 4 … and `max`. */
export function warmUpSizes(max: number): number[] {
  const sizes: number[] = []
  for (let size = 1; size < max; size *= 2) sizes.push(size)
  return [...sizes, max]
}

/**
 * The line through the measurements by Theil and Sen: its slope is the median of the slopes between all pairs, so that a size that
 * another process disturbed does not pull it as it would pull the least squares. Neither part is ever negative.
 */
export function fitLatency(measured: Measured[]): Latency {
  const slopes = measured.flatMap((from, i) =>
    measured.slice(i + 1).map(to => (to.ms - from.ms) / (to.size - from.size))
  )
  // One measurement alone is all slope: nothing says that a larger batch would be cheaper.
  const bMs = Math.max(0, slopes.length > 0 ? median(slopes) : median(measured.map(({ size, ms }) => ms / size)))
  return { aMs: Math.max(0, median(measured.map(({ size, ms }) => ms - bMs * size))), bMs }
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const [below = 0, above = 0] = [sorted[Math.ceil(sorted.length / 2) - 1], sorted[Math.floor(sorted.length / 2)]]
  return (below + above) / 2
}

export function batchMs({ aMs, bMs }: Latency, size: number): number {
  return aMs + bMs * size
}

/** Images per second in batches of `size`. */
export function imagesPerSecond(latency: Latency, size: number): number {
  return (size * 1_000) / Math.max(batchMs(latency, size), 0.001)
}

/** A batch this short delays nobody noticeably, and spares a hop to the engine's thread for each image. */
const unnoticedMs = 20

/**
 * Up to this size a batch pays even where the engine alone gains nothing by it: its threads stall at fewer points when decoding takes a
 * core, and the way between threads is shared. ResNet-50 on two cores under 32 clients did 19.5 images a second one by one, and 20.2,
 * 20.8, 21.5 and 21.5 in batches of 2, 4, 8 and 16; 8 clients waited 388 ms (p50) and 371 in batches of 8.
 */
const sharedSize = 8
/** Nobody waits longer than this only because others are in the batch: long enough that a machine busy at the start changes nothing for a model of 40 ms. */
const sharedMs = 1_000

/**
 * The largest of three: the smallest warmed-up size that reaches 95 % of the best throughput, which is high on a GPU, where a
 * dominates; the largest that takes no more than 20 ms; and up to 8 where that takes no more than a second. A larger one would
 * make everybody in it wait for nothing.
 */
export function chooseBatchLimit(latency: Latency, sizes: number[]): number {
  const best = Math.max(...sizes.map(size => imagesPerSecond(latency, size)))
  const efficient = sizes.find(size => imagesPerSecond(latency, size) >= 0.95 * best) ?? 1
  const quick = sizes.findLast(size => batchMs(latency, size) <= unnoticedMs) ?? 1
  const shared = sizes.findLast(size => size <= sharedSize && batchMs(latency, size) <= sharedMs) ?? 1
  return Math.max(efficient, quick, shared)
}

/** The size at which a batch of `count` runs: padded to one of `sizes`, in rising order, where there are any. */
export function runSize(sizes: number[], count: number): number {
  return sizes.find(size => size >= count) ?? count
}

/**
 * Whether an idle engine should wait for images that are being decoded. With j decoded and m more in r ms, the times until each has
 * its answer sum up to
 *
 *   j·(a + b·j) + m·(2a + b·(j + m))  where the j run now and the m after them,
 *   (j + m)·(r + a + b·(j + m))       where all run together,
 *
 * and the second is less if m·a > (j + m)·r + b·j·m: the m are spared the fixed cost, all wait for r, and the j compute with the m.
 * On a CPU, where a is near 0, that is never so. `comingMs` has the r of each image; waiting pays if it does for some of the first.
 */
export function waitingPays({ aMs, bMs }: Latency, decoded: number, comingMs: number[]): boolean {
  return comingMs
    .toSorted((a, b) => a - b)
    .some((remainingMs, i) => {
      const more = i + 1
      return more * aMs > (decoded + more) * remainingMs + bMs * decoded * more
    })
}

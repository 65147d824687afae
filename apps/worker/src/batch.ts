/** How long a batch takes: t(n) = a + b·n, in milliseconds. */
export interface Latency { aMs: number, bMs: number }

/** A batch size and how long it took. */
export interface Measured { size: number, ms: number }

/** Batch sizes to warm up: 1, 2, 4 … and `max`. */
export function warmUpSizes (max: number): number[] {
  const sizes: number[] = []
  for (let size = 1; size < max; size *= 2) sizes.push(size)
  return [...sizes, max]
}

/** The least-squares line through the measurements; neither part is ever negative. */
export function fitLatency (measured: Measured[]): Latency {
  const mean = (of: (m: Measured) => number) => measured.reduce((sum, m) => sum + of(m), 0) / measured.length
  const meanSize = mean(m => m.size)
  const meanMs = mean(m => m.ms)
  const variance = mean(m => (m.size - meanSize) ** 2)
  const slope = variance === 0 ? 0 : mean(m => (m.size - meanSize) * (m.ms - meanMs)) / variance
  const bMs = variance === 0 ? meanMs : Math.max(0, slope)
  return { aMs: Math.max(0, meanMs - bMs * meanSize), bMs }
}

export function batchMs ({ aMs, bMs }: Latency, size: number): number {
  return aMs + bMs * size
}

/** Images per second in batches of `size`. */
export function imagesPerSecond (latency: Latency, size: number): number {
  return size * 1_000 / Math.max(batchMs(latency, size), 0.001)
}

/** A batch this short delays nobody noticeably, and spares a hop to the engine's thread for each image. */
const unnoticedMs = 20

/**
 * The smallest warmed-up size that reaches 95 % of the best throughput, or the largest that takes no more than 20 ms. A
 * larger one would make everybody in it wait for nothing: on a GPU, where a dominates, the limit is high; on a CPU, where b
 * does, low.
 */
export function chooseBatchLimit (latency: Latency, sizes: number[]): number {
  const best = Math.max(...sizes.map(size => imagesPerSecond(latency, size)))
  const efficient = sizes.find(size => imagesPerSecond(latency, size) >= 0.95 * best) ?? 1
  const quick = sizes.findLast(size => batchMs(latency, size) <= unnoticedMs) ?? 1
  return Math.max(efficient, quick)
}

import type { LoadResult, Sample } from './load.ts'

/** What a load amounts to. Times in milliseconds. */
export interface Figures {
  /** Answered with predictions before the load ended, per second. */
  imagesPerSecond: number
  p50Ms: number
  p90Ms: number
  p99Ms: number
  p999Ms: number
  ok: number
  /** Requests that got something else, by code. */
  errors: Record<string, number>
  /** Median of each stage in `Server-Timing`. */
  stagesMs: Record<string, number>
}

export function figuresOf ({ samples, durationMs }: LoadResult): Figures {
  const ok = samples.filter(({ code }) => code === 'ok')
  const times = ok.map(({ ms }) => ms).toSorted((a, b) => a - b)
  return {
    imagesPerSecond: ok.filter(({ atMs, ms }) => atMs + ms <= durationMs).length * 1_000 / durationMs,
    p50Ms: percentile(times, 0.5),
    p90Ms: percentile(times, 0.9),
    p99Ms: percentile(times, 0.99),
    p999Ms: percentile(times, 0.999),
    ok: ok.length,
    errors: countBy(samples.filter(({ code }) => code !== 'ok'), ({ code }) => code),
    stagesMs: mediansOf(ok)
  }
}

/** The smallest value that `share` of the sorted values do not exceed; NaN of none. */
export function percentile (sorted: readonly number[], share: number): number {
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? NaN
}

export function median (values: readonly number[]): number {
  return percentile(values.toSorted((a, b) => a - b), 0.5)
}

function mediansOf (samples: Sample[]): Record<string, number> {
  const names = Object.keys(samples[0]?.stages ?? {})
  return Object.fromEntries(names.map(name => [name, median(samples.map(({ stages }) => stages[name] ?? NaN))]))
}

export function countBy<T> (items: readonly T[], keyOf: (item: T) => string): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const item of items) counts[keyOf(item)] = (counts[keyOf(item)] ?? 0) + 1
  return counts
}

/** `3 OVERLOADED 1 LOST`, or `none`. */
export function listErrors (errors: Record<string, number>): string {
  return Object.entries(errors).map(([code, count]) => `${count} ${code}`).join(' ') || 'none'
}

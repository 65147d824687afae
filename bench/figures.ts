import type { LoadResult, Sample, Window } from './load.ts'

/** What a load amounts to. Times in milliseconds. */
export interface Figures {
  /**
   * Answered with predictions, per second. A request counts for the share of its time that lay in the window: whole batches that
   * come just before or after its end would make a difference of a tenth.
   */
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

/** Times are those of the requests that were begun in the window; errors and counts those of all. */
export function figuresOf({ samples, window }: LoadResult): Figures {
  const ok = samples.filter(({ code }) => code === 'ok')
  const measured = ok.filter(({ atMs }) => atMs >= window.fromMs && atMs < window.toMs)
  const times = measured.map(({ ms }) => ms).toSorted((a, b) => a - b)
  return {
    imagesPerSecond:
      (ok.reduce((sum, sample) => sum + shareWithin(sample, window), 0) * 1_000) / (window.toMs - window.fromMs),
    p50Ms: percentile(times, 0.5),
    p90Ms: percentile(times, 0.9),
    p99Ms: percentile(times, 0.99),
    p999Ms: percentile(times, 0.999),
    ok: ok.length,
    errors: countBy(
      samples.filter(({ code }) => code !== 'ok'),
      ({ code }) => code
    ),
    stagesMs: mediansOf(measured)
  }
}

function shareWithin({ atMs, ms }: Sample, { fromMs, toMs }: Window): number {
  return Math.max(0, Math.min(atMs + ms, toMs) - Math.max(atMs, fromMs)) / ms
}

/** The smallest value that `share` of the sorted values do not exceed; NaN of none. */
export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? NaN
}

export function median(values: readonly number[]): number {
  return percentile(
    values.toSorted((a, b) => a - b),
    0.5
  )
}

function mediansOf(samples: Sample[]): Record<string, number> {
  const names = Object.keys(samples[0]?.stages ?? {})
  return Object.fromEntries(names.map(name => [name, median(samples.map(({ stages }) => stages[name] ?? NaN))]))
}

export function countBy<T>(items: readonly T[], keyOf: (item: T) => string): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const item of items) counts[keyOf(item)] = (counts[keyOf(item)] ?? 0) + 1
  return counts
}

/** `3 OVERLOADED 1 LOST`, or `none`. */
export function listErrors(errors: Record<string, number>): string {
  return (
    Object.entries(errors)
      .map(([code, count]) => `${count} ${code}`)
      .join(' ') || 'none'
  )
}

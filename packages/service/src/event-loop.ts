import { monitorEventLoopDelay } from 'node:perf_hooks'

/** Watches how late the event loop runs; a thread that computes instead of waiting shows here first. */
export function watchEventLoop () {
  const histogram = monitorEventLoopDelay({ resolution: 10 })
  histogram.enable()

  return {
    /** Delay beyond the sampling interval of 10 ms since the start, in milliseconds. */
    summary (): { p50Ms: number, p99Ms: number, maxMs: number } {
      const delay = (nanoseconds: number) => Math.max(0, Math.round(nanoseconds / 1e5 - 100) / 10)
      return { p50Ms: delay(histogram.percentile(50)), p99Ms: delay(histogram.percentile(99)), maxMs: delay(histogram.max) }
    },

    stop (): void { histogram.disable() }
  }
}

import { monitorEventLoopDelay } from 'node:perf_hooks'

/** How often the delay is sampled. */
const resolutionMs = 10

/** Watches how late the event loop runs; a thread that computes instead of waiting shows here first. */
export function watchEventLoop() {
  const histogram = monitorEventLoopDelay({ resolution: resolutionMs })
  histogram.enable()

  return {
    /** Delay beyond the sampling interval since the start, in milliseconds. */
    summary(): { p50Ms: number; p99Ms: number; maxMs: number } {
      return {
        p50Ms: delay(histogram.percentile(50)),
        p99Ms: delay(histogram.percentile(99)),
        maxMs: delay(histogram.max)
      }
    },

    stop(): void {
      histogram.disable()
    }
  }
}

function delay(nanoseconds: number): number {
  return Math.max(0, Math.round(nanoseconds / 1e5 - 10 * resolutionMs) / 10)
}

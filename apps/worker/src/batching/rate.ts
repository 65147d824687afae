import { batchMs, imagesPerSecond, type Latency } from './latency.ts'

/** How much of an old estimate a new measurement replaces: a few batches, or seconds, and the past is forgotten. */
const weight = 0.4

/**
 * Images a second that this worker can do. The engine's share is what warm-up fitted, corrected by how much longer batches
 * really take. What else limits it, decoding say, shows only while more work waits than it can take: then what it finished
 * counts, if that is less.
 */
export function createRate(
  { latency, maxBatch }: { latency: Latency; maxBatch: number },
  nowMs: () => number = () => performance.now()
) {
  let slowdown = 1
  let saturatedRate: number | undefined
  let images = 0
  let saturated = false
  let wasSaturated = false
  let sinceMs = nowMs()

  return {
    finished(): void {
      images++
    },

    /** A batch was on the engine. */
    ran(size: number, ms: number): void {
      slowdown += weight * (ms / Math.max(batchMs(latency, size), 0.001) - slowdown)
    },

    /** Work had to wait for room. */
    waited(): void {
      saturated = true
    },

    /** The estimate; ends the interval that began with the last call. */
    update(): number {
      const elapsedMs = nowMs() - sinceMs
      // An estimate that is too low lets so little work in that it would never be corrected: it is forgotten as soon as
      // nothing waits.
      if (!saturated) saturatedRate = undefined
      // The first interval began before work waited. Nothing finished: that is a hang or an outage, and no speed.
      if (saturated && wasSaturated && images > 0 && elapsedMs > 0) {
        const measured = (images * 1_000) / elapsedMs
        saturatedRate = saturatedRate === undefined ? measured : saturatedRate + weight * (measured - saturatedRate)
      }
      images = 0
      wasSaturated = saturated
      saturated = false
      sinceMs = nowMs()
      return Math.min(imagesPerSecond(latency, maxBatch) / slowdown, saturatedRate ?? Infinity)
    }
  }
}

export type Rate = ReturnType<typeof createRate>

/**
 * Images a second that this worker can do: what warm-up fitted until it was measured, then a moving average over the
 * intervals in which more work was waiting than it could take. A worker that waits for work says nothing about its speed.
 */
export function createRate (fitted: number, nowMs: () => number = () => performance.now()) {
  let perSecond = fitted
  let images = 0
  let saturated = false
  let sinceMs = nowMs()

  return {
    finished (): void { images++ },

    /** Work had to wait for room. */
    waited (): void { saturated = true },

    /** Ends the interval that began with the last call. */
    update (): number {
      const elapsedMs = nowMs() - sinceMs
      if (saturated && elapsedMs > 0) perSecond += 0.3 * (images * 1_000 / elapsedMs - perSecond)
      images = 0
      saturated = false
      sinceMs = nowMs()
      return perSecond
    }
  }
}

export type Rate = ReturnType<typeof createRate>

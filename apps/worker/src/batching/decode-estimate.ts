/** How much of the average a new measurement replaces. */
const weight = 0.2

/** The images that are being decoded, and when each is likely to be ready. */
export function createDecodeEstimate(nowMs: () => number = () => performance.now()) {
  const begunMs = new Map<string, number>()
  let usualMs: number | undefined

  return {
    begin(entry: string): void {
      begunMs.set(entry, nowMs())
    },

    /** Milliseconds since it began. */
    end(entry: string): number {
      const ms = nowMs() - (begunMs.get(entry) ?? nowMs())
      begunMs.delete(entry)
      usualMs = usualMs === undefined ? ms : usualMs + weight * (ms - usualMs)
      return ms
    },

    /** Milliseconds until each image is likely to be ready; 0 where it takes longer than usual, none while nothing is known. */
    remainingMs(): number[] {
      const usual = usualMs
      return usual === undefined ? [] : [...begunMs.values()].map(begun => Math.max(0, begun + usual - nowMs()))
    }
  }
}

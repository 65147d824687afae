/** Long enough that a hiccup doesn't show, short enough that a change does. */
const windowMs = 5_000

export interface Reading {
  /** Bytes a second over the last seconds; undefined until there are two points in time. */
  speed: number | undefined
  secondsLeft: number | undefined
}

/** Measures a download: `read` takes the bytes that are here and gives speed and time left. */
export function createMeter(now: () => number) {
  let samples: Array<{ atMs: number; received: number }> = []

  return {
    read(received: number, total: number): Reading {
      const atMs = now()
      // A download that starts anew has fewer bytes than before.
      samples = samples.filter(sample => sample.received <= received)
      const oldest = samples.findLast(sample => atMs - sample.atMs >= windowMs) ?? samples[0]
      samples = [...samples.filter(sample => oldest !== undefined && sample.atMs >= oldest.atMs), { atMs, received }]
      const seconds = oldest === undefined ? 0 : (atMs - oldest.atMs) / 1_000
      if (oldest === undefined || seconds === 0) return { speed: undefined, secondsLeft: undefined }
      const speed = (received - oldest.received) / seconds
      return { speed, secondsLeft: speed > 0 ? (total - received) / speed : undefined }
    }
  }
}

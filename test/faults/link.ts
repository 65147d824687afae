import { setTimeout as sleep } from 'node:timers/promises'

/** One direction of a link of so many bytes a second, which all connections share. What is taken first goes first. */
export function createLink(bytesPerSecond: number) {
  let freeAtMs = 0

  return {
    /** Resolves once so many bytes have gone through. */
    async take(bytes: number): Promise<void> {
      const now = performance.now()
      freeAtMs = Math.max(now, freeAtMs) + (bytes / bytesPerSecond) * 1_000
      await sleep(freeAtMs - now)
    }
  }
}

export type Link = ReturnType<typeof createLink>

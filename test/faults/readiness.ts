import type { System } from '../support/system.ts'
import { pause } from './oracle.ts'

/** How often readiness is asked for: an outage may be short. */
const intervalMs = 25

/** Watches a gateway's readiness until `stop`, which resolves with every change: when, and the reasons where it was red. */
export function watchReadiness({ url }: Pick<System, 'url'>) {
  const changes: Array<{ atMs: number; reasons: string[] }> = []
  let stopped = false
  const watching = watch()

  return {
    changes,
    /** Red at some time since `sinceMs`. */
    wasRed: (sinceMs = 0): boolean => changes.some(({ atMs, reasons }) => atMs >= sinceMs && reasons.length > 0),
    /** Green at the last look. */
    isGreen: (): boolean => changes.at(-1)?.reasons.length === 0,
    async stop(): Promise<void> {
      stopped = true
      await watching
    }
  }

  async function watch(): Promise<void> {
    while (!stopped) {
      const reasons = await reasonsNow()
      if (reasons.join() !== changes.at(-1)?.reasons.join()) changes.push({ atMs: performance.now(), reasons })
      await pause(intervalMs)
    }
  }

  async function reasonsNow(): Promise<string[]> {
    try {
      const response = await fetch(`${url}/health/ready`)
      const { reasons } = (await response.json()) as { reasons: string[] }
      return response.status === 200 ? [] : reasons
    } catch (error) {
      return [String(error)]
    }
  }
}

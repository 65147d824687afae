import { AwayError } from '@streamsight/protocol'
import type { Logger } from '@streamsight/service'

/** One log line for each step that starts to fail, and not one for each request that it fails for. */
export function createOutages(log: Logger) {
  const failing = new Set<string>()

  return {
    /** It is tried again. That Redis is away is told by its connection. */
    delayed(step: string, error: unknown): void {
      if (error instanceof AwayError || failing.has(step)) return
      failing.add(step)
      log.warn({ event: 'redis-refused', step, err: error }, `Redis refused to ${step}; trying again`)
    },

    /** It is not tried again. */
    failed(step: string, error: unknown): void {
      if (failing.has(step)) return
      failing.add(step)
      log.error({ event: 'step-failed', step, err: error }, `Could not ${step}; trying again would not help`)
    },

    passed(step: string): void {
      if (failing.delete(step)) log.info({ event: 'step-passed', step }, `It is possible again to ${step}`)
    }
  }
}

import { AwayError, isOutOfMemory, isPassing } from '@streamsight/protocol'
import type { Logger } from '@streamsight/service'

interface Outage {
  sinceMs: number
  lastMs: number
  error: unknown
}

/** A step that nobody tried for so long may be possible again: who says no longer than that gets requests to try it with. */
const lastingMs = 5_000

/** What passes by itself is waited for, a failover say; not for longer than for a worker. */
const patienceMs = 15_000

/** One log line for each step that starts to fail, and not one for each request that it fails for. */
export function createOutages(log: Logger) {
  const failing = new Map<string, Outage>()

  return {
    /** It is tried again. That Redis is away is told by its connection. */
    delayed(step: string, error: unknown): void {
      if (error instanceof AwayError || !isNew(step, error)) return
      log.warn({ event: 'redis-refused', step, err: error }, `Redis refused to ${step}; trying again`)
    },

    /** It is not tried again. */
    failed(step: string, error: unknown): void {
      if (!isNew(step, error)) return
      log.error({ event: 'step-failed', step, err: error }, `Could not ${step}; trying again would not help`)
    },

    passed(step: string): void {
      if (failing.delete(step)) log.info({ event: 'step-passed', step }, `It is possible again to ${step}`)
    },

    /** Why one of these steps can't be done now, for readiness. That Redis lacks memory is said elsewhere. */
    reasons: (steps: string[]): string[] =>
      steps.flatMap(step => {
        const outage = failing.get(step)
        return outage !== undefined && isLasting(outage) ? [`Redis refuses to ${step}: ${messageOf(outage)}`] : []
      })
  }

  function isNew(step: string, error: unknown): boolean {
    const nowMs = performance.now()
    const known = failing.get(step)
    failing.set(step, { sinceMs: known?.sinceMs ?? nowMs, lastMs: nowMs, error })
    return known === undefined
  }
}

export type Outages = ReturnType<typeof createOutages>

function isLasting({ sinceMs, lastMs, error }: Outage): boolean {
  if (isOutOfMemory(error) || performance.now() - lastMs > lastingMs) return false
  return !isPassing(error) || lastMs - sinceMs > patienceMs
}

function messageOf({ error }: Outage): string {
  return error instanceof Error ? error.message : String(error)
}

import { ApiError } from '../errors.ts'
import type { Broker } from './broker.ts'
import type { Fleet } from './fleet.ts'

/** Seconds that a client is sent away for if nobody knows how long the queue lasts. */
const unknownS = 5

/** While a client waits new ones come. What is served is shared: half goes to those who come back. */
const share = 2

/** Nobody is sent away for longer, seconds. */
const longestS = 60

export interface OverloadOptions {
  broker: Pick<Broker, 'uploadWaitMs' | 'uploadMs'>
  requestTimeoutMs: number
}

/**
 * Whether an image that comes now could be answered in time, decided before anything of it is read or sent: by what waits
 * here for the link to Redis, and by what is on the stream. Half of a deadline may be spent waiting; the other half is for
 * restarts and lost leases.
 */
export function createOverload({ broker, requestTimeoutMs }: OverloadOptions) {
  let freeAtMs = 0

  return {
    /** Throws OVERLOADED where an image of so many bytes could not. */
    refuse(fleet: Fleet, bytes: number): void {
      if (broker.uploadWaitMs() > requestTimeoutMs / 2 || fleet.depth >= fleet.maxDepth())
        throw new ApiError('OVERLOADED', { retryAfterS: retryAfterS(fleet, bytes) })
    },
    retryAfterS
  }

  /**
   * Seconds, 1 to 60, until all that waits here and on the stream is done, and those who were sent away before had their turn:
   * told the same, all of them would come back at once and be refused again. Clients that never wait add no more than a
   * deadline to that.
   */
  function retryAfterS(fleet: Fleet, bytes: number): number {
    const nowMs = performance.now()
    const queueMs = fleet.queueMs() ?? unknownS * 1_000
    const drainedAtMs = nowMs + share * (broker.uploadWaitMs() + queueMs)
    const turnMs = share * Math.max(broker.uploadMs(bytes), fleet.imageMs() ?? 0)
    freeAtMs = Math.min(Math.max(drainedAtMs, freeAtMs + turnMs), drainedAtMs + requestTimeoutMs)
    return Math.min(longestS, Math.max(1, Math.ceil((freeAtMs - nowMs) / 1_000)))
  }
}

export type Overload = ReturnType<typeof createOverload>

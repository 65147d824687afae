import { ApiError } from '../errors.ts'
import type { Broker } from './broker.ts'
import type { Fleet } from './fleet.ts'

/** Seconds that a client is sent away for if nobody knows how long the queue lasts. */
const unknownS = 5

export interface OverloadOptions {
  broker: Pick<Broker, 'uploadWaitMs'>
  requestTimeoutMs: number
}

/**
 * Whether an image that comes now could be answered in time, decided before anything of it is read or sent: by what waits
 * here for the link to Redis, and by what is on the stream. Half of a deadline may be spent waiting; the other half is for
 * restarts and lost leases.
 */
export function createOverload({ broker, requestTimeoutMs }: OverloadOptions) {
  return {
    /** Throws OVERLOADED where it could not. */
    refuse(fleet: Fleet): void {
      if (broker.uploadWaitMs() > requestTimeoutMs / 2 || fleet.depth >= fleet.maxDepth())
        throw new ApiError('OVERLOADED', { retryAfterS: retryAfterS(fleet) })
    },
    retryAfterS
  }

  /** Seconds until all that waits now, here and on the stream, is done: 1 to 60. */
  function retryAfterS(fleet: Fleet): number {
    const queueMs = fleet.queueMs() ?? unknownS * 1_000
    return Math.min(60, Math.max(1, Math.ceil((broker.uploadWaitMs() + queueMs) / 1_000)))
  }
}

export type Overload = ReturnType<typeof createOverload>

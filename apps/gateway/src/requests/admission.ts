import { ApiError } from '../errors.ts'

export interface AdmissionLimits {
  maxRequests: number
  maxBytes: number
}

/** Bounds what one gateway holds in memory: a place must be taken before a body is read. */
export function createAdmission({ maxRequests, maxBytes }: AdmissionLimits) {
  let requests = 0
  let bytesHeld = 0
  let left: Array<() => void> = []

  return {
    get requests(): number {
      return requests
    },
    get bytes(): number {
      return bytesHeld
    },

    /** Takes a place for a body of `bytes`; the returned function gives it back. Throws OVERLOADED if there is none. */
    enter(bytes: number, retryAfterS: number): () => void {
      // One body always fits, or a small limit would refuse everything for ever.
      if (requests >= maxRequests || (requests > 0 && bytesHeld + bytes > maxBytes))
        throw new ApiError('OVERLOADED', { retryAfterS })
      requests++
      bytesHeld += bytes
      return () => {
        requests--
        bytesHeld -= bytes
        if (requests > 0) return
        for (const resolve of left) resolve()
        left = []
      }
    },

    /** Resolves once nobody holds a place. */
    async untilEmpty(): Promise<void> {
      while (requests > 0) await new Promise<void>(resolve => left.push(resolve))
    }
  }
}

export type Admission = ReturnType<typeof createAdmission>

import { ApiError } from '../errors.ts'

export interface AdmissionLimits {
  /** Requests that have arrived and are being worked on. */
  maxRequests: number
  /** Bodies being received. */
  maxUploads: number
  /** Bodies being received from one API key or address. */
  maxUploadsPerClient: number
  /** Bytes that have arrived and are still needed, of all requests together. */
  maxBytes: number
  /** Slower bodies are cut off: after `graceMs` at the latest, and at once where room runs short. */
  minBytesPerS: number
  graceMs: number
}

export interface Arrival {
  /** API key or address that the request counts for. */
  client: string
  /** Seconds that it is sent away for if it is refused. */
  retryAfterS: () => number
  /** Ends the upload from outside: it is too slow. */
  cutOff: (error: ApiError) => void
}

/** How often the rate of each upload is looked at within `graceMs`. */
const looksPerGrace = 5

/** How long a body may take to begin before it can be cut off to make room: a round trip or two. */
const freshMs = 250

interface Claim extends Arrival {
  state: 'uploading' | 'working' | 'gone'
  sinceMs: number
  bytes: number
  received: number
  /** What had been received at each of the last looks, the oldest first. */
  looks: Array<{ atMs: number; received: number }>
}

/**
 * Bounds what one gateway holds in memory. A request costs what has arrived of it, never what was declared, and a body has to
 * keep coming: whoever promises bytes and does not send them takes nothing away from others.
 */
export function createAdmission(limits: AdmissionLimits) {
  const claims = new Set<Claim>()
  let bytesHeld = 0
  let uploads = 0
  let emptied: Array<() => void> = []
  let timer: NodeJS.Timeout | undefined

  return {
    /** Requests that have arrived and are being worked on. */
    get working(): number {
      return claims.size - uploads
    },
    get uploads(): number {
      return uploads
    },
    get bytes(): number {
      return bytesHeld
    },

    start(): void {
      timer = setInterval(cutOffSlow, limits.graceMs / looksPerGrace)
    },
    stop(): void {
      clearInterval(timer)
    },

    /** Takes a place for a request whose body is still to come. Throws OVERLOADED or RATE_LIMITED if there is none. */
    enter(arrival: Arrival) {
      if (isFull()) throw overloaded(arrival)
      if (uploads >= limits.maxUploads && !cutOffSlowest(uploading())) throw overloaded(arrival)
      if (!hasShareLeft(arrival.client))
        throw new ApiError('RATE_LIMITED', {
          message: `More than ${limits.maxUploadsPerClient} uploads at once`,
          retryAfterS: 1
        })
      const sinceMs = performance.now()
      const looks = [{ atMs: sinceMs, received: 0 }]
      const claim: Claim = { ...arrival, state: 'uploading', sinceMs, bytes: 0, received: 0, looks }
      claims.add(claim)
      uploads++
      return {
        /** Counts bytes of the body as they come in. Throws OVERLOADED if there is no room for them. */
        receive(bytes: number): void {
          claim.received += bytes
          hold(claim, claim.bytes + bytes)
        },
        /** Says how many bytes the request holds from now on. Throws OVERLOADED if there is no room for them. */
        hold: (bytes: number): void => hold(claim, bytes),
        /** The whole body is there. Throws OVERLOADED if too many are. */
        arrived(): void {
          if (claim.state !== 'uploading') return
          if (isFull()) throw overloaded(claim)
          claim.state = 'working'
          uploads--
        },
        leave: (): void => leave(claim)
      }
    },

    /** Resolves once nobody holds a place. */
    async untilEmpty(): Promise<void> {
      while (claims.size > 0) await new Promise<void>(resolve => emptied.push(resolve))
    }
  }

  function isFull(): boolean {
    return claims.size - uploads >= limits.maxRequests
  }

  function hasShareLeft(client: string): boolean {
    if (uploads < limits.maxUploadsPerClient) return true
    const own = uploading().filter(claim => claim.client === client)
    return own.length < limits.maxUploadsPerClient || cutOffSlowest(own)
  }

  function uploading(): Claim[] {
    return [...claims].filter(({ state }) => state === 'uploading')
  }

  function hold(claim: Claim, bytes: number): void {
    if (claim.state === 'gone') return
    const more = bytes - claim.bytes
    // One body always fits, or a small limit would refuse everything for ever.
    while (more > 0 && bytesHeld > claim.bytes && bytesHeld + more > limits.maxBytes) {
      if (!cutOffSlowest(uploading().filter(other => other !== claim))) throw overloaded(claim)
    }
    bytesHeld += more
    claim.bytes = bytes
  }

  /** The one way out, however a request ends. */
  function leave(claim: Claim): void {
    if (claim.state === 'gone') return
    if (claim.state === 'uploading') uploads--
    claim.state = 'gone'
    claims.delete(claim)
    bytesHeld -= claim.bytes
    if (claims.size > 0) return
    for (const resolve of emptied) resolve()
    emptied = []
  }

  /** Makes room: the slowest upload under the minimum rate goes. False if all are fast enough. */
  function cutOffSlowest(candidates: Claim[]): boolean {
    const now = performance.now()
    const slow = candidates
      .filter(({ sinceMs }) => now - sinceMs >= freshMs)
      .map(claim => ({ claim, bytesPerS: rateOf(claim, claim.looks.at(-2) ?? claim.looks[0]) }))
      .filter(({ bytesPerS }) => bytesPerS < limits.minBytesPerS)
    if (slow.length === 0) return false
    cutOff(slow.reduce((slowest, next) => (next.bytesPerS < slowest.bytesPerS ? next : slowest)).claim)
    return true
  }

  function cutOffSlow(): void {
    const now = performance.now()
    for (const claim of uploading()) {
      const isDue = claim.looks.length >= looksPerGrace
      if (isDue && rateOf(claim, claim.looks[0]) < limits.minBytesPerS) cutOff(claim)
      claim.looks.push({ atMs: now, received: claim.received })
      if (claim.looks.length > looksPerGrace) claim.looks.shift()
    }
  }

  function cutOff(claim: Claim): void {
    leave(claim)
    claim.cutOff(
      new ApiError('REQUEST_TIMEOUT', { message: `The body came slower than ${limits.minBytesPerS} bytes/s` })
    )
  }
}

export type Admission = ReturnType<typeof createAdmission>
export type Place = ReturnType<Admission['enter']>

/** Bytes a second since a look. */
function rateOf({ received }: Claim, since: Claim['looks'][number] | undefined): number {
  const { atMs, received: before } = since ?? { atMs: 0, received: 0 }
  return ((received - before) * 1_000) / Math.max(1, performance.now() - atMs)
}

function overloaded({ retryAfterS }: Arrival): ApiError {
  return new ApiError('OVERLOADED', { retryAfterS: retryAfterS() })
}

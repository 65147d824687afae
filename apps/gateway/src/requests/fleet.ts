import { isPassing, limits, type SeenWorker } from '@streamsight/protocol'

export interface FleetOptions {
  readWorkers: () => Promise<SeenWorker[]>
  /** Jobs on the stream. */
  readDepth: () => Promise<number>
  /** Jobs on the stream that are this gateway's own: known at once, while the others' are known once a second. */
  ownDepth: () => number
  /** Told after each look, with the error where it failed. */
  looked: (error?: unknown) => void
  requestTimeoutMs: number
  maxQueueDepth: number
}

/** Work that waits this long while nobody finishes anything counts as stuck: two leases, so that a crash alone does not. */
const stallMs = 2 * limits.leaseMs

/** As long as nothing is known, Redis is asked this often: requests may be waiting for it. */
const firstLookMs = 50

/** What the gateway knows of the workers of one model, renewed every second. */
export function createFleet(options: FleetOptions) {
  const { readWorkers, readDepth, ownDepth, looked, requestTimeoutMs, maxQueueDepth } = options
  let workers: SeenWorker[] = []
  let depthSeen = 0
  let ownSeen = 0
  let finished = 0
  let lastWarmMs = -Infinity
  let lastProgressMs = performance.now()
  let lastTryMs = performance.now()
  let known = false
  let refusal: Error | undefined
  let tellKnown: () => void = () => {}
  const untilKnown = new Promise<void>(resolve => {
    tellKnown = resolve
  })
  let timer: NodeJS.Timeout | undefined

  const fleet = {
    get workers(): SeenWorker[] {
      return workers
    },
    /** Jobs on the stream: as many as were seen, and what this gateway added or got back since. */
    get depth(): number {
      return Math.max(0, depthSeen + ownDepth() - ownSeen)
    },

    /** Resolves once the workers were looked at for the first time. */
    untilKnown: (): Promise<void> => untilKnown,
    isKnown: (): boolean => known,
    /** Why nothing is seen any more, and won't be without somebody's doing: a missing right, say. */
    refusal: (): Error | undefined => refusal,

    /** Workers that are warm and were heard of lately. */
    ready: (): SeenWorker[] =>
      workers.filter(({ state, silentMs }) => state === 'ready' && silentMs < limits.workerSeenMs),

    /** Images a second that the whole fleet can do. */
    ratePerSecond: (): number => fleet.ready().reduce((sum, worker) => sum + worker.ratePerSecond, 0),

    /** Whether a warm worker was seen lately. Remembered here, because a worker that restarts says "warming" for a while. */
    isStaffed: (): boolean => performance.now() - lastWarmMs < limits.workerSeenMs,

    /** Whether work is waiting and nobody has finished any for a while. */
    isStalled: (): boolean => depthSeen > 0 && performance.now() - lastProgressMs > stallMs,

    /** Jobs that may wait: what the fleet does in half a deadline, the other half being for restarts and lost leases. */
    maxDepth(): number {
      const rate = fleet.ratePerSecond()
      if (rate === 0) return maxQueueDepth
      // However slow they are: one with each worker and one that waits.
      const least = 2 * fleet.ready().length
      return Math.min(maxQueueDepth, Math.max(least, Math.floor((rate * requestTimeoutMs) / 2_000)))
    },

    /** Milliseconds of the whole fleet that an image takes; undefined if nobody is there to do it. */
    imageMs(): number | undefined {
      const rate = fleet.ratePerSecond()
      return rate === 0 ? undefined : 1_000 / rate
    },

    /** Milliseconds until what is on the stream now is done; undefined if nobody is there to do it. */
    queueMs(): number | undefined {
      const imageMs = fleet.imageMs()
      return imageMs === undefined ? undefined : fleet.depth * imageMs
    },

    /** Looks once. Keeps what it knew if Redis does not answer, and no time has passed then: nobody could be seen. */
    async refresh(): Promise<void> {
      const triedMs = lastTryMs
      lastTryMs = performance.now()
      try {
        const [seen, waiting] = await Promise.all([readWorkers(), readDepth()])
        learn(seen, waiting)
        refusal = undefined
        looked()
      } catch (error) {
        if (!isPassing(error)) refusal = error as Error
        looked(error)
        lastWarmMs += performance.now() - triedMs
        lastTryMs = lastProgressMs = performance.now()
        throw error
      }
    },

    start(): void {
      timer = setTimeout(async function again() {
        // Told to `looked`.
        await fleet.refresh().catch(() => {})
        if (timer !== undefined) timer = setTimeout(again, known ? limits.heartbeatMs : firstLookMs)
      })
    },

    stop(): void {
      clearTimeout(timer)
      timer = undefined
    }
  }
  return fleet

  function learn(seen: SeenWorker[], waiting: number): void {
    const done = seen.reduce((sum, worker) => sum + worker.finished, 0)
    if (done !== finished || waiting === 0) lastProgressMs = performance.now()
    workers = seen
    depthSeen = waiting
    ownSeen = ownDepth()
    finished = done
    for (const { state, silentMs } of seen) {
      if (state === 'ready') lastWarmMs = Math.max(lastWarmMs, performance.now() - silentMs)
    }
    known = true
    tellKnown()
  }
}

export type Fleet = ReturnType<typeof createFleet>

/** The fleet of each model that is served, in the order of MODELS. */
export type Fleets = ReadonlyMap<string, Fleet>

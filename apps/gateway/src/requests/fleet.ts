import { limits, type SeenWorker } from '@streamsight/protocol'

export interface FleetOptions {
  readWorkers: () => Promise<SeenWorker[]>
  /** Jobs on the stream. */
  readDepth: () => Promise<number>
  requestTimeoutMs: number
  maxQueueDepth: number
}

/** Work that waits this long while nobody finishes anything counts as stuck: two leases, so that a crash alone does not. */
const stallMs = 2 * limits.leaseMs

/** What the gateway knows of the workers of one model, renewed every second. */
export function createFleet({ readWorkers, readDepth, requestTimeoutMs, maxQueueDepth }: FleetOptions) {
  let workers: SeenWorker[] = []
  let depth = 0
  let finished = 0
  let lastWarmMs = -Infinity
  let lastProgressMs = performance.now()
  let timer: NodeJS.Timeout | undefined

  const fleet = {
    get workers(): SeenWorker[] {
      return workers
    },
    get depth(): number {
      return depth
    },

    /** Workers that are warm and were heard of lately. */
    ready: (): SeenWorker[] =>
      workers.filter(({ state, silentMs }) => state === 'ready' && silentMs < limits.workerSeenMs),

    /** Images a second that the whole fleet can do. */
    ratePerSecond: (): number => fleet.ready().reduce((sum, worker) => sum + worker.ratePerSecond, 0),

    /** Whether a warm worker was seen lately. Remembered here, because a worker that restarts says "warming" for a while. */
    isStaffed: (): boolean => performance.now() - lastWarmMs < limits.workerSeenMs,

    /** Whether work is waiting and nobody has finished any for a while. */
    isStalled: (): boolean => depth > 0 && performance.now() - lastProgressMs > stallMs,

    /** Jobs that may wait: what the fleet does in half a deadline, the other half being for restarts and lost leases. */
    maxDepth(): number {
      const rate = fleet.ratePerSecond()
      if (rate === 0) return maxQueueDepth
      // However slow they are: one with each worker and one that waits.
      const least = 2 * fleet.ready().length
      return Math.min(maxQueueDepth, Math.max(least, Math.floor((rate * requestTimeoutMs) / 2_000)))
    },

    /** Seconds until what waits now is done: 1 to 60. */
    retryAfterS(): number {
      const rate = fleet.ratePerSecond()
      return rate === 0 ? 5 : Math.min(60, Math.max(1, Math.ceil(depth / rate)))
    },

    /** Looks once. Keeps what it knew if Redis does not answer. */
    async look(): Promise<void> {
      const [seen, waiting] = await Promise.all([readWorkers(), readDepth()])
      const done = seen.reduce((sum, worker) => sum + worker.finished, 0)
      if (done !== finished || waiting === 0) lastProgressMs = performance.now()
      workers = seen
      depth = waiting
      finished = done
      for (const { state, silentMs } of seen) {
        if (state === 'ready') lastWarmMs = Math.max(lastWarmMs, performance.now() - silentMs)
      }
    },

    start(): void {
      timer = setTimeout(async function again() {
        // While Redis is away nobody can make progress, and that is not the workers' fault.
        await fleet.look().catch(() => {
          lastProgressMs = performance.now()
        })
        if (timer !== undefined) timer = setTimeout(again, limits.heartbeatMs)
      })
    },

    stop(): void {
      clearTimeout(timer)
      timer = undefined
    }
  }
  return fleet
}

export type Fleet = ReturnType<typeof createFleet>

/** The fleet of each model that is served, in the order of MODELS. */
export type Fleets = ReadonlyMap<string, Fleet>

import { setTimeout as sleep } from 'node:timers/promises'
import { isStreamGone, limits, type Clock, type Consumer, type Pending } from '@streamsight/protocol'
import type { Logger } from '@streamsight/service'
import type { Pipeline } from './pipeline.ts'
import type { Rate } from './batching/rate.ts'
import { ageMs } from './age.ts'
import { every } from './every.ts'
import type { ExclusiveLock, Neighbour } from './exclusive.ts'
import type { Outcomes } from './outcomes.ts'

export interface ServeOptions {
  consumer: Consumer
  pipeline: Pipeline
  outcomes: Outcomes
  rate: Rate
  clock: Clock
  lock: ExclusiveLock
  maxDeliveries: number
  log: Logger
}

/** Sizes of the latest jobs from which the next read's byte budget is estimated. */
const sampleSize = 100

/**
 * The loop that takes jobs of one model: what this worker was given before and may not know of, what others let lie, then what is new.
 * It never ends but by `drain`; whatever Redis answers, it makes itself sure again of what it holds and goes on.
 */
export function serve({ consumer, pipeline, outcomes, rate, clock, lock, maxDeliveries, log }: ServeOptions) {
  const sizes: number[] = []
  let draining = false
  let unsure = true
  /** What the former life of this name held has been taken over. */
  let inherited = false
  let nextReapMs = 0
  let failing = false
  let reading = Promise.resolve()
  const self: Neighbour = { untilIdle: () => reading.catch(() => {}).then(pipeline.untilIdle) }

  lock.join(self)
  const ended = loop()
  const stopRenewing = every(limits.leaseMs / 5, { what: 'renew the leases of its jobs', task: renewLeases, log })

  return {
    /** An entry may have been delivered into a connection that died: look at what is pending under our name. */
    markUnsure(): void {
      unsure = true
    },

    /** Takes nothing new, finishes the batch on the engine and hands back what has not started. */
    async drain(): Promise<void> {
      draining = true
      await ended
      const unstarted = pipeline.takeUnstarted()
      await Promise.allSettled(unstarted.map(delivery => consumer.handBack(delivery)))
      log.info({ event: 'drain', handedBack: unstarted.length, held: pipeline.held }, 'Draining')
      await pipeline.untilIdle()
      stopRenewing()
    }
  }

  async function loop(): Promise<void> {
    while (!draining) {
      try {
        if (unsure) await recoverOwn()
        if (performance.now() >= nextReapMs) await reap()
        await takeNew()
        failing = false
      } catch (error) {
        await afterFailure(error)
      }
    }
  }

  async function takeNew(): Promise<void> {
    if (pipeline.room() < 1) rate.waited()
    await pipeline.untilRoom()
    await lock.runShared(() => (reading = read()))
  }

  async function read(): Promise<void> {
    const deliveries = await consumer.read(Math.min(pipeline.room(), withinBytes()), reportUnreadable)
    for (const delivery of deliveries) {
      sizes.push(delivery.job.image.length)
      pipeline.take(delivery)
    }
    sizes.splice(0, sizes.length - sampleSize)
  }

  /** How many images of the size at the 95th percentile fit into one read. */
  function withinBytes(): number {
    const sorted = sizes.toSorted((a, b) => a - b)
    const p95 = sorted[Math.floor(sorted.length * 0.95)] ?? 1
    return Math.max(1, Math.floor(limits.readBytes / p95))
  }

  /**
   * What was delivered to this name and is not in hand: to its former life, or into a connection that died. Of the latter nobody
   * knows anything against the image, so that delivery does not count.
   */
  async function recoverOwn(): Promise<void> {
    unsure = false
    await consumer.ensureGroup()
    const pending = await consumer.pending({ idleMs: 0, mine: true, count: 1_000 })
    await takeOver(inherited ? pending.map(neverArrived) : pending, 0)
    inherited = true
  }

  /** What another worker took and shows no sign of life for. Jittered, so that the workers of a fleet take turns. */
  async function reap(): Promise<void> {
    nextReapMs = performance.now() + limits.reaperIntervalMs * (0.75 + Math.random() / 2)
    await takeOver(await consumer.pending({ idleMs: limits.leaseMs, count: 16 }), limits.leaseMs)
  }

  /**
   * Redelivered jobs run one at a time with nothing else in hand: should one of them end this process, it takes no
   * neighbour with it, and none is counted as delivered that was not tried.
   */
  async function takeOver(pending: Pending[], idleMs: number): Promise<void> {
    for (const entry of pending.filter(({ entry }) => !pipeline.holds(entry))) {
      if (draining) return
      await pipeline.untilIdle()
      await lock.runExclusive(self, () => redeliver(entry, idleMs))
    }
  }

  async function redeliver(pending: Pending, idleMs: number): Promise<void> {
    const delivery = await consumer.claim(pending, idleMs)
    if (delivery === undefined) return
    log.warn(
      {
        event: 'redelivery',
        jobId: delivery.job.id,
        deliveries: delivery.deliveries,
        from: pending.consumer,
        idleMs: pending.idleMs
      },
      'Took over a job'
    )
    if (delivery.deliveries > maxDeliveries) await outcomes.bury(delivery)
    else pipeline.take(delivery)
    await pipeline.untilIdle()
  }

  async function afterFailure(error: unknown): Promise<void> {
    unsure = true
    if (isStreamGone(error)) {
      log.warn({ event: 'stream-gone', reason: String(error) }, 'The stream was wiped; making it again')
      return
    }
    // One line for an outage. The client reconnects by itself.
    if (!failing) log.warn({ event: 'read-failed', err: error }, 'Could not read jobs, trying again')
    failing = true
    await sleep(100 + Math.random() * 100)
  }

  async function renewLeases(): Promise<void> {
    const entries = pipeline.entries()
    if (entries.length > 0) await consumer.renew(entries)
  }

  function reportUnreadable(entry: string, error: unknown): void {
    log.error(
      {
        event: 'unreadable-job',
        entry,
        ageMs: Math.round(ageMs(clock, entry)),
        reason: String(error)
      },
      'Ignored a job that no worker of this version can read'
    )
  }
}

function neverArrived(pending: Pending): Pending {
  return { ...pending, deliveries: Math.max(0, pending.deliveries - 1) }
}

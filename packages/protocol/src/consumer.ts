import type { Entry, PendingEntry } from './commands.ts'
import type { Connection } from './connection.ts'
import type { Clock } from './clock.ts'
import { encodeDeadLetter, type DeadLetter } from './dead-letters.ts'
import { limits } from './limits.ts'
import { askOf, decodeJob, encodeOutcome, isRetryable, type Job, type Outcome } from './messages.ts'
import { entryTimeMs, group, type ModelKeys } from './names.ts'
import { createGroup } from './producer.ts'
import { isReply } from './reply-errors.ts'
import { finishScript, leaveScript } from './scripts.ts'

/** A job in a worker's hands. */
export interface Delivery {
  /** Id of the stream entry; its first half is Redis' time at enqueueing. */
  entry: string
  job: Job
  /** How many workers were given this job, this one included; of former enqueueings those that fell silent with it. */
  deliveries: number
  /** Milliseconds on Redis' clock at which it was taken from the stream. */
  takenAtMs: number
}

/** A delivered entry that nobody finished yet. */
export interface Pending {
  entry: string
  consumer: string
  idleMs: number
  deliveries: number
}

/** Everything a worker says to Redis about the jobs of one model. `blocking` is used alone for what brings images. */
export function createConsumer(
  connections: { commands: Connection; blocking: Connection },
  options: { keys: ModelKeys; name: string; clock: Clock }
) {
  const { commands, blocking } = connections
  const { keys, name, clock } = options
  const ref = { stream: keys.jobs, group, consumer: name }

  return {
    ensureGroup: () => createGroup(commands, keys),

    /**
     * Takes at most `count` new jobs, waiting up to `limits.blockMs` for the first. Fails with NOGROUP or UNBLOCKED if
     * the stream was wiped: call `ensureGroup` and read again. An entry no worker can read is dropped and reported.
     */
    async read(count: number, dropped: (entry: string, error: unknown) => void): Promise<Delivery[]> {
      const entries = await blocking.readGroup(ref, { count, blockMs: limits.blockMs })
      const deliveries: Delivery[] = []
      for (const entry of entries) {
        try {
          deliveries.push(toDelivery(entry, 1))
        } catch (error) {
          dropped(entry.id, error)
        }
      }
      return deliveries
    },

    /** Up to `count` entries that were delivered and not finished, to anybody for `idleMs` or, with `mine`, to this worker. */
    async pending(which: { idleMs: number; mine?: boolean; count: number }): Promise<Pending[]> {
      const rows = await commands.pendingEntries(ref, which)
      return rows.map(({ id, ...row }: PendingEntry) => ({ entry: id, ...row }))
    },

    /**
     * Takes over a pending entry if it was idle for `idleMs`; of several workers that try, one gets it. It counts as one delivery
     * more than `pending` says: a caller that knows of some that never arrived says fewer. Undefined for the others, and for
     * an entry that no worker can read: an error would stop the caller at it again and again. `read` reported that one, and
     * it stays pending until it is trimmed.
     */
    async claim(pending: Pending, idleMs: number): Promise<Delivery | undefined> {
      const deliveries = pending.deliveries + 1
      const entry = await blocking.claimEntry(ref, { id: pending.entry, idleMs, deliveries })
      if (entry === undefined) return undefined
      try {
        return toDelivery(entry, deliveries)
      } catch {
        return undefined
      }
    },

    /** Renews the lease of entries this worker holds. Never with FORCE: that would bring back what was finished elsewhere. */
    renew: (entries: string[]): Promise<void> => commands.renewEntries(ref, entries),

    /** Gives an unstarted job back as if it had never been delivered: idle for an hour, and the delivery not counted. */
    async handBack({ entry, deliveries, job }: Delivery): Promise<void> {
      const counted = Math.max(0, deliveries - job.attempt - 1)
      await commands.releaseEntry(ref, { id: entry, idleMs: 3_600_000, deliveries: counted })
    },

    /**
     * Stores the outcome, publishes it if it is the first, and takes the job off the stream: one atomic step. Safe to
     * repeat. True if this outcome counts, false if another was there before.
     */
    async finish({ entry, job }: Delivery, outcome: Outcome, deadLetter?: DeadLetter): Promise<boolean> {
      const retryable = isRetryable(outcome)
      const ask = askOf(job)
      const first = await commands.run(finishScript, {
        keys: [keys.jobs, keys.result(job.id), keys.dead],
        args: [
          group,
          entry,
          encodeOutcome(outcome, ask),
          String(retryable ? limits.retryableResultTtlMs : limits.resultTtlMs),
          job.replyTo,
          ask,
          retryable ? '1' : '0',
          String(limits.deadLetters),
          ...(deadLetter === undefined ? [] : encodeDeadLetter(deadLetter))
        ]
      })
      return first === 1
    },

    /** Removes entries that were enqueued before `olderThanMs` ago: their deadline is long gone. Returns how many. */
    trim: (olderThanMs: number): Promise<number> => commands.trimBefore(keys.jobs, clock.now() - olderThanMs),

    /** Signs this worker out of the group. False if it still holds jobs: then its name must stay, or they would be lost. */
    async leave(): Promise<boolean> {
      return (await commands.run(leaveScript, { keys: [keys.jobs], args: [group, name] })) === 1
    }
  }

  function toDelivery({ id, fields }: Entry<Buffer>, delivered: number): Delivery {
    const job = decodeJob(fields)
    return { entry: id, job, deliveries: delivered + job.attempt, takenAtMs: clock.now() }
  }
}

export type Consumer = ReturnType<typeof createConsumer>

/** Milliseconds that the job waited in the queue before it was taken. */
export function queuedMs({ entry, takenAtMs }: Delivery): number {
  return Math.max(0, takenAtMs - entryTimeMs(entry))
}

/** True if the stream or the group went away under a read: both are made again and nothing is lost. */
export function isStreamGone(error: unknown): boolean {
  return isReply(error, 'NOGROUP') || isReply(error, 'UNBLOCKED')
}

import { binary, isReply, run, within, type Connection } from './client.ts'
import type { Clock } from './clock.ts'
import { encodeDeadLetter, type DeadLetter } from './dead-letters.ts'
import { limits } from './limits.ts'
import { decodeJob, encodeOutcome, type Job, type Outcome } from './messages.ts'
import { group, type ModelKeys } from './names.ts'
import { createGroup } from './producer.ts'
import { finishScript, leaveScript } from './scripts.ts'

/** A job in a worker's hands. */
export interface Delivery {
  /** Id of the stream entry; its first half is Redis' time at enqueueing. */
  entry: string
  job: Job
  /** How many workers were given this job, this one included, over all its enqueueings. */
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

type EntryReply = { id: Buffer | string; message: Record<string, Buffer> }

/** Everything a worker says to Redis about the jobs of one model. `blocking` is used for reads alone. */
export function createConsumer(
  connections: { commands: Connection; blocking: Connection },
  options: { keys: ModelKeys; name: string; clock: Clock }
) {
  const { commands, blocking } = connections
  const { keys, name, clock } = options
  const reader = binary(blocking)
  const claimer = binary(commands)

  return {
    ensureGroup: () => createGroup(commands, keys),

    /**
     * Takes at most `count` new jobs, waiting up to `limits.blockMs` for the first. Fails with NOGROUP or UNBLOCKED if
     * the stream was wiped: call `ensureGroup` and read again. An entry no worker can read is dropped and reported.
     */
    async read(count: number, dropped: (entry: string, error: unknown) => void): Promise<Delivery[]> {
      const reply = (await within(
        limits.blockMs + limits.commandTimeoutMs,
        'XREADGROUP',
        reader.xReadGroup(group, name, { key: keys.jobs, id: '>' }, { COUNT: count, BLOCK: limits.blockMs })
      )) as Array<{ messages: EntryReply[] }> | null
      const deliveries: Delivery[] = []
      for (const message of reply?.[0]?.messages ?? []) {
        try {
          deliveries.push(toDelivery(message, 1))
        } catch (error) {
          dropped(message.id.toString(), error)
        }
      }
      return deliveries
    },

    /** Up to `count` entries that were delivered and not finished, to anybody for `idleMs` or, with `mine`, to this worker. */
    async pending({ idleMs, mine, count }: { idleMs: number; mine?: boolean; count: number }): Promise<Pending[]> {
      const range = commands.xPendingRange(keys.jobs, group, '-', '+', count, {
        IDLE: idleMs,
        ...(mine ? { consumer: name } : {})
      })
      const rows = await within(limits.commandTimeoutMs, 'XPENDING', range)
      return rows.map(row => ({
        entry: row.id,
        consumer: row.consumer,
        idleMs: row.millisecondsSinceLastDelivery,
        deliveries: row.deliveriesCounter
      }))
    },

    /**
     * Takes over a pending entry if it was idle for `idleMs`; of several workers that try, one gets it. Undefined for the
     * others, and for an entry that no worker can read: an error would stop the caller at it again and again. `read`
     * reported that one, and it stays pending until it is trimmed.
     */
    async claim(pending: Pending, idleMs: number): Promise<Delivery | undefined> {
      const reply = (await within(
        limits.commandTimeoutMs,
        'XCLAIM',
        claimer.xClaim(keys.jobs, group, name, idleMs, pending.entry)
      )) as Array<EntryReply | null>
      const message = reply[0]
      if (!message) return undefined
      try {
        return toDelivery(message, pending.deliveries + 1)
      } catch {
        return undefined
      }
    },

    /** Renews the lease of entries this worker holds. Never with FORCE: that would bring back what was finished elsewhere. */
    async renew(entries: string[]): Promise<void> {
      await within(limits.commandTimeoutMs, 'XCLAIM', commands.xClaimJustId(keys.jobs, group, name, 0, entries))
    },

    /** Gives an unstarted job back as if it had never been delivered: idle for an hour, and the delivery not counted. */
    async handBack({ entry, deliveries, job }: Delivery): Promise<void> {
      const counted = Math.max(0, deliveries - job.attempt - 1)
      await within(
        limits.commandTimeoutMs,
        'XCLAIM',
        commands.xClaimJustId(keys.jobs, group, name, 0, entry, { IDLE: 3_600_000, RETRYCOUNT: counted })
      )
    },

    /**
     * Stores the outcome, publishes it if it is the first, and takes the job off the stream: one atomic step. Safe to
     * repeat. True if this outcome counts, false if another was there before.
     */
    async finish({ entry, job }: Delivery, outcome: Outcome, deadLetter?: DeadLetter): Promise<boolean> {
      const ttlMs = isRetryable(outcome) ? limits.retryableResultTtlMs : limits.resultTtlMs
      return (
        (await run(commands, finishScript, {
          keys: [keys.jobs, keys.result(job.id), keys.dead],
          args: [
            group,
            entry,
            encodeOutcome(outcome),
            String(ttlMs),
            job.replyTo,
            String(limits.deadLetters),
            ...(deadLetter === undefined ? [] : encodeDeadLetter(deadLetter))
          ]
        })) === 1
      )
    },

    /** Removes entries that were enqueued before `olderThanMs` ago: their deadline is long gone. Returns how many. */
    async trim(olderThanMs: number): Promise<number> {
      const before = Math.floor(clock.now() - olderThanMs)
      return await within(limits.commandTimeoutMs, 'XTRIM', commands.xTrim(keys.jobs, 'MINID', before))
    },

    /** Signs this worker out of the group. False if it still holds jobs: then its name must stay, or they would be lost. */
    async leave(): Promise<boolean> {
      return (await run(commands, leaveScript, { keys: [keys.jobs], args: [group, name] })) === 1
    }
  }

  function toDelivery(reply: EntryReply, delivered: number): Delivery {
    const job = decodeJob(reply.message)
    return { entry: reply.id.toString(), job, deliveries: delivered + job.attempt, takenAtMs: clock.now() }
  }
}

export type Consumer = ReturnType<typeof createConsumer>

/** Milliseconds that the job waited in the queue before it was taken. */
export function queuedMs({ entry, takenAtMs }: Delivery): number {
  return Math.max(0, takenAtMs - Number(entry.split('-')[0]))
}

/** Would the same image, sent again, perhaps fare better? Then its outcome is not worth remembering. */
function isRetryable(outcome: Outcome): boolean {
  return outcome.status === 'error' && (outcome.code === 'DEADLINE_EXCEEDED' || outcome.code === 'INFERENCE_FAILED')
}

/** True if the stream or the group went away under a read: both are made again and nothing is lost. */
export function isStreamGone(error: unknown): boolean {
  return isReply(error, 'NOGROUP') || isReply(error, 'UNBLOCKED')
}

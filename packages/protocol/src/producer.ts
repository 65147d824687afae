import { isReply, run, within, type Connection } from './client.ts'
import { limits } from './limits.ts'
import { decodeOutcome, encodeJob, type Job, type Outcome } from './messages.ts'
import { group, type ModelKeys } from './names.ts'
import { cancelScript, checkScript, enqueueScript } from './scripts.ts'

export type EnqueueReply =
  | { state: 'queued' }
  /** This id was enqueued before and nobody finished it yet. */
  | { state: 'waiting' }
  | { state: 'finished'; outcome: Outcome }
  | { state: 'full'; depth: number }

export type CheckReply =
  { id: string; state: 'owned' } | { id: string; state: 'finished'; outcome: Outcome } | { id: string; state: 'lost' }

/** Everything a gateway says to Redis about the jobs of one model. */
export function createProducer(commands: Connection, keys: ModelKeys) {
  return {
    /**
     * Puts a job on the stream unless `maxDepth` jobs are there already. Atomic, and safe to repeat with the same id: after
     * an error the outcome is unknown, and the repetition finds out.
     */
    async enqueue(job: Job, maxDepth: number): Promise<EnqueueReply> {
      const call = {
        keys: [keys.jobs, keys.job(job.id), keys.result(job.id)],
        args: [String(job.ttlMs + limits.jobGraceMs), String(maxDepth), ...encodeJob(job)]
      }
      const reply = await run(commands, enqueueScript, call)
      if (!isStreamMissing(reply)) return enqueueReply(reply)
      await createGroup(commands, keys)
      return enqueueReply(await run(commands, enqueueScript, call))
    },

    /** Where the jobs of these ids are, at most `limits.checkIds` of them. What was lost can be enqueued again at once. */
    async check(ids: string[]): Promise<CheckReply[]> {
      const jobKeys = ids.flatMap(id => [keys.result(id), keys.job(id)])
      const replies = (await run(commands, checkScript, { keys: [keys.jobs, ...jobKeys], args: [group] })) as Array<
        string | number
      >
      return ids.map((id, i) => checkReply(id, replies[i] ?? ''))
    },

    /** Takes a job off the stream, wherever it is. A worker that has it already finishes in vain. */
    async cancel(id: string): Promise<void> {
      await run(commands, cancelScript, { keys: [keys.jobs, keys.job(id)], args: [group] })
    },

    /** Jobs on the stream, those with a worker included. */
    async depth(): Promise<number> {
      return await within(limits.commandTimeoutMs, 'XLEN', commands.xLen(keys.jobs))
    }
  }
}

export type Producer = ReturnType<typeof createProducer>

function isStreamMissing(reply: unknown): boolean {
  return (reply as [number, string])[0] === -2
}

function enqueueReply(reply: unknown): EnqueueReply {
  const [code, value] = reply as [number, string]
  switch (code) {
    case 0:
      return { state: 'queued' }
    case 1:
      return { state: 'waiting' }
    case 2:
      return { state: 'finished', outcome: decodeOutcome(value) }
    case -1:
      return { state: 'full', depth: Number(value) }
    default:
      throw new Error(`enqueue: unexpected reply ${code}`)
  }
}

function checkReply(id: string, reply: string | number): CheckReply {
  if (reply === 0) return { id, state: 'lost' }
  if (reply === '') return { id, state: 'owned' }
  try {
    return { id, state: 'finished', outcome: decodeOutcome(String(reply)) }
  } catch {
    // Of another version. It must not take the answers about the other ids with it; this one ends at its deadline.
    return { id, state: 'owned' }
  }
}

/** Creates stream and group where they are missing. At 0: at `$` every job added before the group would be lost. */
export async function createGroup(commands: Connection, keys: ModelKeys): Promise<void> {
  try {
    await within(
      limits.commandTimeoutMs,
      'XGROUP CREATE',
      commands.xGroupCreate(keys.jobs, group, '0', { MKSTREAM: true })
    )
  } catch (error) {
    if (!isReply(error, 'BUSYGROUP')) throw error
  }
}

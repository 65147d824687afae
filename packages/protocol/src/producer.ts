import type { Connection } from './connection.ts'
import { limits } from './limits.ts'
import { askOf, decodeOutcome, encodeJob, type Answer, type Job } from './messages.ts'
import { group, type ModelKeys } from './names.ts'
import { cancelScript, checkScript, createGroupScript, enqueueScript } from './scripts.ts'

export type EnqueueReply =
  | { state: 'queued' }
  /** This id was enqueued before and nobody finished it yet. */
  | { state: 'waiting' }
  | { state: 'finished'; outcome: Answer }
  | { state: 'full'; depth: number }
  /** Under this id another image, or another number of predictions, was asked for. */
  | { state: 'mismatch' }

export type CheckReply = { id: string } & (
  | { state: 'queued' }
  /** With a worker, which gave its last sign of life `idleMs` ago. */
  | { state: 'running'; deliveries: number; idleMs: number }
  | { state: 'finished'; outcome: Answer }
  | { state: 'lost' }
  | { state: 'mismatch' }
  /** There is an outcome, but of another protocol version. */
  | { state: 'unreadable' }
)

export interface ProducerOptions {
  /** For what is short and must not wait behind images. */
  commands: Connection
  /** For images. */
  uploads: Connection
  keys: ModelKeys
  /** Tells this gateway from others: a job that another one waits for is not cancelled. */
  gateway: string
}

/** Everything a gateway says to Redis about the jobs of one model. */
export function createProducer({ commands, uploads, keys, gateway }: ProducerOptions) {
  return {
    /** Makes stream and group where they are missing, so that no image has to be sent twice for want of them. */
    prepare: (): Promise<void> => createGroup(commands, keys),

    /**
     * Puts a job on the stream unless `maxDepth` jobs are there already. Atomic, and safe to repeat with the same id: after
     * an error the outcome is unknown, and the repetition finds out.
     */
    async enqueue(job: Job, maxDepth: number): Promise<EnqueueReply> {
      const call = {
        keys: [keys.jobs, keys.job(job.id), keys.result(job.id)],
        args: [String(job.ttlMs + limits.jobGraceMs), String(maxDepth), askOf(job), gateway, group, ...encodeJob(job)],
        bytes: job.image.length
      }
      const reply = await uploads.run(enqueueScript, call)
      if (!isStreamMissing(reply)) return enqueueReply(reply)
      await createGroup(commands, keys)
      return enqueueReply(await uploads.run(enqueueScript, call))
    },

    /** Where these jobs are, at most `limits.checkIds` of them. What was lost can be enqueued again at once. */
    async check(jobs: Array<Pick<Job, 'id' | 'fingerprint' | 'options'>>): Promise<CheckReply[]> {
      const places = (await commands.run(checkScript, {
        keys: [keys.jobs, ...jobs.flatMap(({ id }) => [keys.result(id), keys.job(id)])],
        args: [group, gateway, ...jobs.map(askOf)]
      })) as Array<[number, ...unknown[]]>
      return jobs.map(({ id }, i) => ({ id, ...placeOf(places[i] ?? [0]) }))
    },

    /** Takes a job off the stream, unless another gateway waits for it. A worker that has it already finishes in vain. */
    async cancel(id: string): Promise<void> {
      await commands.run(cancelScript, { keys: [keys.jobs, keys.job(id)], args: [group, gateway] })
    },

    /** Jobs on the stream, those with a worker included. */
    depth: (): Promise<number> => commands.streamLength(keys.jobs)
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
    case -3:
      return { state: 'mismatch' }
    default:
      throw new Error(`enqueue: unexpected reply ${code}`)
  }
}

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never

function placeOf([code, ...more]: [number, ...unknown[]]): DistributiveOmit<CheckReply, 'id'> {
  switch (code) {
    case 0:
      return { state: 'lost' }
    case 1:
      return { state: 'queued' }
    case 2:
      return { state: 'running', deliveries: Number(more[0]), idleMs: Number(more[1]) }
    case 3:
      return finished(String(more[0]))
    case 4:
      return { state: 'mismatch' }
    default:
      throw new Error(`check: unexpected reply ${code}`)
  }
}

/** One outcome of another version must not take the answers about the other ids with it. */
function finished(text: string): { state: 'finished'; outcome: Answer } | { state: 'unreadable' } {
  try {
    return { state: 'finished', outcome: decodeOutcome(text) }
  } catch {
    return { state: 'unreadable' }
  }
}

/** Creates stream and group where they are missing. */
export async function createGroup(commands: Connection, keys: ModelKeys): Promise<void> {
  await commands.run(createGroupScript, { keys: [keys.jobs], args: [group] })
}

import { setTimeout as sleep } from 'node:timers/promises'
import {
  isPassing,
  limits,
  protocolVersion,
  type Clock,
  type Consumer,
  type Delivery,
  type FailureCode,
  type Outcome,
  type Success
} from '@streamsight/protocol'
import type { Logger } from '@streamsight/service'
import { remainingMs } from './age.ts'

export interface OutcomesOptions {
  /** The worker's name. */
  worker: string
  model: { name: string; version: string }
  engine: string
  consumer: Consumer
  clock: Clock
  log: Logger
}

/** What a job's picture was found to show, and what it took. */
export type Answer = Pick<Success, 'predictions' | 'batchSize' | 'timings'>

/** Why a job has no predictions; the message is for the client. */
export interface Reason {
  code: FailureCode
  message: string
}

const firstPauseMs = 50
const longestPauseMs = 500

/** What is said about each job: to Redis, for the gateway that waits, and to the log. */
export function createOutcomes({ worker, model, engine, consumer, clock, log }: OutcomesOptions) {
  return {
    succeed: (delivery: Delivery, answer: Answer): Promise<void> =>
      finish(delivery, { ...envelope(delivery), status: 'ok', ...answer, model, engine }),

    fail: (delivery: Delivery, { code, message }: Reason): Promise<void> =>
      finish(delivery, { ...envelope(delivery), status: 'error', code, message }),

    /**
     * Gives up on a job that has been delivered too often. Rejects if Redis does not take that: the job stays
     * pending.
     */
    async bury(delivery: Delivery): Promise<void> {
      const { job } = delivery
      // This delivery only found out.
      const deliveries = delivery.deliveries - 1
      const outcome = {
        ...envelope({ job, deliveries }),
        status: 'error' as const,
        code: 'POISONED_IMAGE' as const,
        message: `The image was given to ${deliveries} workers and none of them survived it`
      }
      await consumer.finish(delivery, outcome, {
        id: job.id,
        code: outcome.code,
        error: outcome.message,
        deliveries,
        format: job.format,
        bytes: job.image.length,
        sha256: job.fingerprint,
        worker
      })
      log.error({ event: 'dead-letter', jobId: job.id, deliveries }, 'Gave up on a job')
    }
  }

  /** What every outcome begins with. */
  function envelope({ job, deliveries }: Pick<Delivery, 'job' | 'deliveries'>) {
    return { v: protocolVersion, id: job.id, worker, deliveries } as const
  }

  /** Stores and publishes the outcome; resolves once Redis has it, or when nobody can be waiting any more. */
  async function finish(delivery: Delivery, outcome: Outcome): Promise<void> {
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
      try {
        return logJob(delivery, outcome, await consumer.finish(delivery, outcome))
      } catch (error) {
        const isOver = remainingMs(clock, delivery) < -limits.jobGraceMs
        if (isOver || !isPassing(error)) return logDropped(delivery, error)
        await sleep(pauseMs)
      }
    }
  }

  function logJob({ job, deliveries }: Delivery, outcome: Outcome, first: boolean): void {
    log.info(
      {
        event: 'job',
        jobId: job.id,
        ...described(outcome),
        model: model.name,
        deliveries,
        bytes: job.image.length,
        ...(first ? {} : { late: true })
      },
      'job'
    )
  }

  function logDropped({ job }: Delivery, error: unknown): void {
    log.warn({ event: 'outcome-dropped', jobId: job.id, err: error }, 'Redis did not take the outcome')
  }
}

export type Outcomes = ReturnType<typeof createOutcomes>

function described(outcome: Outcome): object {
  if (outcome.status === 'error') return { outcome: outcome.code }
  const { timings, batchSize, engine } = outcome
  return { outcome: 'ok', ...timings, batchSize, engine }
}

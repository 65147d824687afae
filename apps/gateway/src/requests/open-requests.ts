import { askOf, type Answer, type Job } from '@streamsight/protocol'
import { ApiError } from '../errors.ts'

/** An HTTP exchange that waits for a job. */
interface Waiter {
  resolve: (answer: Answer) => void
  reject: (error: Error) => void
}

/** A job that was accepted and not answered. Several clients can wait for one: they sent the same Idempotency-Key. */
export interface OpenRequest {
  job: Job
  model: string
  maxDepth: number
  sinceMs: number
  /** The latest deadline of those who wait, on this process' monotonic clock. */
  deadlineMs: number
  /** The deadline that its entry on the stream was given; unknown, and 0, where another gateway may have put it there. */
  entryDeadlineMs: number
  waiters: Set<Waiter>
  /** Its channel is listened to; what is left is to send it. */
  listening: boolean
  /** Redis has, or may have, the job. */
  sent: boolean
  /** Redis said that it has the job. From then on *check* watches over it. */
  acknowledged: boolean
  /** It was admitted once, and that there are others now is no reason to refuse it. */
  admitted: boolean
  /** Workers that fell silent with the entry that is on the stream now. */
  silentWorkers: number
  /** Why the last step failed that is being tried again. */
  trouble: unknown
  settled: boolean
}

export interface Waiting {
  timeoutMs: number
  /** Aborts when the client left. */
  gone: AbortSignal
}

/**
 * Who is waiting for what. Each waiter has its own deadline; a job is over when it was answered or its last waiter left. As
 * long as it is open the image stays in memory, so that whatever Redis loses can be enqueued again.
 */
export function createOpenRequests(ended: (request: OpenRequest) => void) {
  const requests = new Map<string, OpenRequest>()

  return {
    get size(): number {
      return requests.size
    },
    all: (): OpenRequest[] => [...requests.values()],

    /** The open request of that id. Throws IDEMPOTENCY_MISMATCH if it asks something else. */
    find(job: Job): OpenRequest | undefined {
      const request = requests.get(job.id)
      if (request !== undefined && askOf(request.job) !== askOf(job)) throw mismatch()
      return request
    },
    byId: (id: string): OpenRequest | undefined => requests.get(id),

    begin({ job, model, maxDepth }: Pick<OpenRequest, 'job' | 'model' | 'maxDepth'>): OpenRequest {
      const request: OpenRequest = {
        job,
        model,
        maxDepth,
        sinceMs: performance.now(),
        deadlineMs: 0,
        entryDeadlineMs: 0,
        waiters: new Set(),
        listening: false,
        sent: false,
        acknowledged: false,
        admitted: false,
        silentWorkers: 0,
        trouble: undefined,
        settled: false
      }
      requests.set(job.id, request)
      return request
    },

    /** The answer. Rejects with an ApiError, or with `gone.reason` when the client left. */
    async wait(request: OpenRequest, { timeoutMs, gone }: Waiting): Promise<Answer> {
      const { promise, resolve, reject } = withResolvers<Answer>()
      const waiter = { resolve, reject }
      const leave = () => reject(gone.reason as Error)
      const timer = setTimeout(() => reject(expiry(request)), timeoutMs)
      request.waiters.add(waiter)
      request.deadlineMs = Math.max(request.deadlineMs, performance.now() + timeoutMs)
      gone.addEventListener('abort', leave, { once: true })
      try {
        return await promise
      } finally {
        clearTimeout(timer)
        gone.removeEventListener('abort', leave)
        request.waiters.delete(waiter)
        if (request.waiters.size === 0) end(request)
      }
    },

    settle(request: OpenRequest, answer: Answer): void {
      // Redis has forgotten the job already; there is nothing to cancel.
      request.sent = false
      for (const { resolve } of request.waiters) resolve(answer)
      end(request)
    },

    refuse(request: OpenRequest, error: Error): void {
      for (const { reject } of request.waiters) reject(error)
      end(request)
    }
  }

  /** The one way out: whatever ends a request first, and only that. */
  function end(request: OpenRequest): void {
    if (request.settled) return
    request.settled = true
    requests.delete(request.job.id)
    ended(request)
  }
}

export type OpenRequests = ReturnType<typeof createOpenRequests>

export function mismatch(): ApiError {
  return new ApiError('IDEMPOTENCY_MISMATCH')
}

export function remainingMs({ deadlineMs }: OpenRequest): number {
  return Math.ceil(deadlineMs - performance.now())
}

function expiry({ acknowledged, listening, sent, trouble }: OpenRequest): ApiError {
  if (acknowledged) return new ApiError('DEADLINE_EXCEEDED')
  if (listening && !sent && trouble === undefined)
    return new ApiError('OVERLOADED', { message: 'The image could not be sent to the queue in time: the link is full' })
  return new ApiError('BROKER_UNAVAILABLE', { cause: trouble })
}

/** Promise.withResolvers, which Node 20 does not have. */
function withResolvers<T>() {
  let resolve: (value: T) => void = () => {}
  let reject: (error: Error) => void = () => {}
  const promise = new Promise<T>((res, rej) => {
    resolve = res
    reject = rej
  })
  return { promise, resolve, reject }
}

import { setTimeout as sleep } from 'node:timers/promises'
import {
  isOutOfMemory,
  isPassing,
  isRefusal,
  limits,
  type Answer,
  type CheckReply,
  type EnqueueReply,
  type Producer,
  type ReplyChannels,
  type Uploads
} from '@streamsight/protocol'
import type { Logger } from '@streamsight/service'
import { ApiError } from '../errors.ts'
import { mismatch, remainingMs, type OpenRequest, type OpenRequests } from './open-requests.ts'
import { createOutages } from './outages.ts'

export interface DeliveryOptions {
  requests: OpenRequests
  producers: ReadonlyMap<string, Producer>
  channels: ReplyChannels
  uploads: Uploads
  log: Logger
}

/** A deadline that is this much later than the entry's was not meant by a worker that gave up on the entry. */
const laterMs = 100

/** How an open request gets to Redis, and how it stays there until there is an answer: whatever Redis loses is sent again. */
export function createDelivery({ requests, producers, channels, uploads, log }: DeliveryOptions) {
  const outages = createOutages(log)
  let outOfMemoryAtMs = -Infinity

  return {
    send,
    check,
    prepare,
    /** When Redis last refused a job for want of memory. */
    outOfMemoryAtMs: (): number => outOfMemoryAtMs,
    /** Why no job gets to Redis though it is there; empty if they do. */
    refusals: (): string[] => outages.reasons(['subscribe', 'enqueue'])
  }

  /** A listener exists before its job: SUBSCRIBE is acknowledged before *enqueue* is sent. */
  async function send(request: OpenRequest): Promise<void> {
    await untilDone(request, 'subscribe', () =>
      channels.listen(request.job.replyTo, answer => {
        if (answer.id === request.job.id) receive(request, answer)
      })
    )
    request.listening = true
    await enqueue(request)
  }

  async function enqueue(request: OpenRequest): Promise<void> {
    const { deadlineMs } = request
    const reply = await untilDone(request, 'enqueue', () =>
      uploads.upload({
        bytes: request.job.image.length,
        isWanted: () => !request.settled,
        send: async () => {
          request.sent = true
          const job = { ...request.job, ttlMs: Math.max(1, remainingMs(request)) }
          return await producerOf(request).enqueue(job, request.admitted ? Number.MAX_SAFE_INTEGER : request.maxDepth)
        }
      })
    )
    if (reply !== undefined) learn(request, reply, deadlineMs)
  }

  function learn(request: OpenRequest, reply: EnqueueReply, deadlineMs: number): void {
    switch (reply.state) {
      case 'queued':
      case 'waiting':
        request.acknowledged = true
        request.admitted = true
        request.entryDeadlineMs = reply.state === 'queued' ? deadlineMs : 0
        break
      case 'finished':
        return requests.settle(request, reply.outcome)
      case 'full':
        request.sent = false
        return requests.refuse(request, new ApiError('OVERLOADED'))
      case 'mismatch':
        request.sent = false
        return requests.refuse(request, mismatch())
    }
  }

  /**
   * An outcome, from the channel or from *check*. That an entry's deadline passed is no answer to who joined later and has
   * time left: the job is enqueued again for the rest of it.
   */
  function receive(request: OpenRequest, answer: Answer): void {
    if (request.settled) return
    const expired = answer.status === 'error' && answer.code === 'DEADLINE_EXCEEDED'
    const later = request.deadlineMs > request.entryDeadlineMs + laterMs && remainingMs(request) > laterMs
    if (!(expired && later)) return requests.settle(request, answer)
    // Not yet acknowledged: *enqueue* is under way and makes room for itself.
    if (!request.acknowledged) return
    request.acknowledged = false
    void enqueue(request)
  }

  /** Repeats a step until it succeeds or the request is over. After an error Redis may or may not have done it; every step is safe to repeat. */
  async function untilDone<T>(request: OpenRequest, step: string, work: () => Promise<T>): Promise<T | undefined> {
    for (let waitMs = 25; !request.settled; waitMs = Math.min(2 * waitMs, 400)) {
      try {
        const done = await work()
        outages.passed(step)
        request.trouble = undefined
        return done
      } catch (error) {
        request.trouble = error
        stumble(request, step, error)
        if (!request.settled) await sleep(waitMs)
      }
    }
    return undefined
  }

  /** Ends the request unless its step may succeed the next time. */
  function stumble(request: OpenRequest, step: string, error: unknown): void {
    if (isOutOfMemory(error)) {
      outOfMemoryAtMs = performance.now()
      outages.delayed(step, error)
      if (!request.admitted) requests.refuse(request, outOfMemory(error))
    } else if (isPassing(error)) outages.delayed(step, error)
    else {
      outages.failed(step, error)
      requests.refuse(request, isRefusal(error) ? refused(step, error) : new ApiError('INTERNAL', { cause: error }))
    }
  }

  /** Only saves time: *enqueue* makes what it misses. */
  async function prepare(producer: Producer): Promise<void> {
    try {
      await producer.prepare()
    } catch (error) {
      outages.delayed('create the stream', error)
    }
  }

  /** Asks Redis where these jobs of one model are, and mends what was lost. */
  async function check(producer: Producer, due: OpenRequest[]): Promise<void> {
    if (due.length === 0) return
    try {
      for (let i = 0; i < due.length; i += limits.checkIds) {
        const replies = await producer.check(due.slice(i, i + limits.checkIds).map(({ job }) => job))
        for (const reply of replies) learnPlace(reply)
      }
      outages.passed('check')
    } catch (error) {
      // The next sweep tries again.
      if (isPassing(error)) outages.delayed('check', error)
      else outages.failed('check', error)
    }
  }

  function learnPlace(reply: CheckReply): void {
    const request = requests.byId(reply.id)
    if (request === undefined || !request.acknowledged) return
    switch (reply.state) {
      case 'queued':
        request.silentWorkers = 0
        break
      case 'running':
        request.silentWorkers = reply.deliveries - (reply.idleMs > limits.leaseMs / 2 ? 0 : 1)
        break
      case 'finished':
        return receive(request, reply.outcome)
      case 'lost':
        return resend(request)
      case 'mismatch':
        return requests.refuse(request, mismatch())
      case 'unreadable':
      // It ends at its deadline.
    }
  }

  /** That Redis lost it says nothing against the image; workers that fell silent with it do. */
  function resend(request: OpenRequest): void {
    request.acknowledged = false
    request.job.attempt += Math.max(0, request.silentWorkers)
    request.silentWorkers = 0
    const { id: jobId, attempt } = request.job
    log.warn({ event: 'resend', jobId, attempt }, 'Redis lost a job; enqueueing it again')
    void enqueue(request)
  }

  function producerOf({ model }: OpenRequest): Producer {
    const producer = producers.get(model)
    if (producer === undefined) throw new Error(`no queue for model "${model}"`)
    return producer
  }
}

export type Delivery = ReturnType<typeof createDelivery>

function outOfMemory(cause: unknown): ApiError {
  return new ApiError('OVERLOADED', { message: 'Redis is out of memory and takes no more images for now', cause })
}

function refused(step: string, cause: unknown): ApiError {
  return new ApiError('BROKER_UNAVAILABLE', {
    message: `Redis refused to ${step}, which a retry will not change; the gateway's log says why`,
    cause
  })
}

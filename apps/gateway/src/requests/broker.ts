import { setTimeout as sleep } from 'node:timers/promises'
import { type ImageFormat } from '@streamsight/images'
import {
  createConnection,
  createDeadLetters,
  createProducer,
  createReplyChannels,
  isOutOfMemory,
  keysOf,
  limits,
  readDescription,
  readWorkers,
  replyChannel,
  type DeadLetters,
  type EnqueueReply,
  type Job,
  type Outcome,
  type Producer,
  type SeenWorker
} from '@streamsight/protocol'
import type { Logger } from '@streamsight/service'
import { ApiError } from '../errors.ts'

export interface BrokerOptions {
  url: string
  prefix: string
  models: string[]
  log: Logger
}

/** An image to classify, and on what terms. */
export interface Order {
  id: string
  model: string
  image: Buffer
  format: ImageFormat
  topK: number
  timeoutMs: number
  maxDepth: number
}

/** A request that was accepted and not answered. Several clients can wait for one: they sent the same Idempotency-Key. */
interface Open {
  job: Job
  /** The queue of its model. */
  producer: Producer
  maxDepth: number
  sinceMs: number
  waiters: number
  /** Redis has, or may have, the job. */
  sent: boolean
  /** Redis said that it has the job. From then on CHECK watches over it. */
  acknowledged: boolean
  settled: boolean
  answer: Promise<Outcome>
  resolve: (outcome: Outcome) => void
  reject: (error: Error) => void
  timer: NodeJS.Timeout
}

/** An outage shorter than this is sat out by requests that arrive in it; longer, and they are refused at once. */
const graceMs = 2_000

/**
 * Who is waiting for what. A request is settled by the first of: the message on its channel, its stored outcome found by
 * CHECK, its deadline, the client's leaving. As long as it is open the image stays in memory, so that whatever Redis loses
 * can be enqueued again.
 */
export function createBroker({ url, prefix, models, log }: BrokerOptions) {
  const commands = createConnection({ url, name: 'gateway:commands', log })
  const subscriber = createConnection({ url, name: 'gateway:subscriber', log })
  const producers = new Map(models.map(model => [model, createProducer(commands, keysOf(prefix, model))]))
  const channels = createReplyChannels({ subscriber, log })
  const open = new Map<string, Open>()
  let awaySinceMs: number | undefined = performance.now()
  let sweeping = false
  let timer: NodeJS.Timeout | undefined

  for (const connection of [commands, subscriber]) {
    connection.on('error', () => {
      awaySinceMs ??= performance.now()
    })
    connection.on('ready', () => {
      if (commands.isReady && subscriber.isReady) awaySinceMs = undefined
      // Messages may have been missed, and jobs wiped, while the connection was down.
      void sweep({ minWaitMs: 0 })
    })
  }

  return {
    get open(): number {
      return open.size
    },
    get listeners(): number {
      return channels.size
    },
    /** Milliseconds for which Redis has not been there; 0 if it is. */
    awayMs: (): number => (awaySinceMs === undefined ? 0 : performance.now() - awaySinceMs),
    isUsable: (): boolean => awaySinceMs === undefined || performance.now() - awaySinceMs < graceMs,
    /** False once a connection gave up for good: only a restart brings it back. */
    isOpen: (): boolean => commands.isOpen && subscriber.isOpen,

    /** Starts connecting; resolves without waiting for Redis, which may come later. */
    start(): void {
      // Tried again for ever; only `close` ends it, and that is no news.
      for (const connection of [commands, subscriber]) connection.connect().catch(() => {})
      timer = setInterval(() => void sweep({ minWaitMs: limits.checkIntervalMs }), limits.checkIntervalMs)
    },

    readWorkers: (model: string): Promise<SeenWorker[]> => readWorkers(commands, keysOf(prefix, model)),
    readDescription: (model: string, digest: string) => readDescription(commands, keysOf(prefix, model), digest),
    depth: (model: string): Promise<number> => producerOf(model).depth(),
    deadLetters: (model: string): DeadLetters => createDeadLetters(commands, keysOf(prefix, model)),

    /** The outcome of an image. Rejects with an ApiError, or with `gone.reason` when the client left. `order.model` is one of `models`. */
    async classify(order: Order, gone: AbortSignal): Promise<Outcome> {
      gone.throwIfAborted()
      const request = open.get(order.id) ?? begin(order)
      request.waiters++
      const leave = () => {
        request.waiters--
        if (request.waiters === 0) end(request, () => request.reject(gone.reason as Error))
      }
      gone.addEventListener('abort', leave, { once: true })
      try {
        return await request.answer
      } finally {
        gone.removeEventListener('abort', leave)
      }
    },

    async close(): Promise<void> {
      clearInterval(timer)
      await channels.sweep()
      commands.destroy()
      subscriber.destroy()
    }
  }

  function begin(order: Order): Open {
    const { promise, resolve, reject } = withResolvers<Outcome>()
    const request: Open = {
      job: {
        id: order.id,
        ttlMs: order.timeoutMs,
        replyTo: replyChannel(prefix, order.id),
        format: order.format,
        attempt: 0,
        options: { topK: order.topK },
        image: order.image
      },
      producer: producerOf(order.model),
      maxDepth: order.maxDepth,
      sinceMs: performance.now(),
      waiters: 0,
      sent: false,
      acknowledged: false,
      settled: false,
      answer: promise,
      resolve,
      reject,
      timer: setTimeout(() => expire(request), order.timeoutMs)
    }
    // A waiter may have left before this is rejected.
    promise.catch(() => {})
    open.set(order.id, request)
    void send(request)
    return request
  }

  /** A listener exists before its job: SUBSCRIBE is acknowledged before ENQ is sent. */
  async function send(request: Open): Promise<void> {
    await persist(request, () => channels.open(request.job.replyTo, outcome => settle(request, outcome)))
    await enqueue(request)
  }

  async function enqueue(request: Open): Promise<void> {
    const reply = await persist(request, async () => {
      request.sent = true
      return await request.producer.enqueue({ ...request.job, ttlMs: remainingMs(request) }, request.maxDepth)
    })
    if (reply !== undefined) receive(request, reply)
  }

  function receive(request: Open, reply: EnqueueReply): void {
    switch (reply.state) {
      case 'queued':
      case 'waiting':
        request.acknowledged = true
        break
      case 'finished':
        return settle(request, reply.outcome)
      case 'full':
        return end(request, () => request.reject(new ApiError('OVERLOADED')))
    }
  }

  /** Repeats a step until it succeeds or the request is over. After an error Redis may or may not have done it; every step is safe to repeat. */
  async function persist<T>(request: Open, step: () => Promise<T>): Promise<T | undefined> {
    for (let waitMs = 25; !request.settled; waitMs = Math.min(2 * waitMs, 400)) {
      try {
        return await step()
      } catch (error) {
        if (isOutOfMemory(error) && request.job.attempt === 0) {
          end(request, () =>
            request.reject(new ApiError('OVERLOADED', { message: 'The queue is out of memory', cause: error }))
          )
        }
        await sleep(waitMs)
      }
    }
    return undefined
  }

  function settle(request: Open, outcome: Outcome): void {
    // Redis has forgotten the job already; there is nothing to cancel.
    request.sent = false
    end(request, () => request.resolve(outcome))
  }

  function expire(request: Open): void {
    end(request, () => request.reject(new ApiError(request.acknowledged ? 'DEADLINE_EXCEEDED' : 'BROKER_UNAVAILABLE')))
  }

  /** The one way out of `open`: whatever ends a request first, and only that. */
  function end(request: Open, conclude: () => void): void {
    if (request.settled) return
    request.settled = true
    clearTimeout(request.timer)
    open.delete(request.job.id)
    conclude()
    void channels.close(request.job.replyTo)
    // Should this fail, the job runs in vain or expires with its deadline.
    if (request.sent) request.producer.cancel(request.job.id).catch(() => {})
  }

  /** Asks Redis where the jobs are that have been waiting for `minWaitMs`, and mends what was lost. */
  async function sweep({ minWaitMs }: { minWaitMs: number }): Promise<void> {
    if (sweeping || !commands.isReady) return
    sweeping = true
    try {
      await channels.sweep()
      const before = performance.now() - minWaitMs
      const due = [...open.values()].filter(({ acknowledged, sinceMs }) => acknowledged && sinceMs <= before)
      for (const producer of producers.values()) {
        const ids = due.filter(request => request.producer === producer).map(({ job }) => job.id)
        for (let i = 0; i < ids.length; i += limits.checkIds) await check(producer, ids.slice(i, i + limits.checkIds))
      }
    } catch (error) {
      log.debug({ event: 'check-failed', err: error }, 'CHECK failed; the next sweep tries again')
    } finally {
      sweeping = false
    }
  }

  async function check(producer: Producer, ids: string[]): Promise<void> {
    for (const reply of await producer.check(ids)) {
      const request = open.get(reply.id)
      if (request === undefined || !request.acknowledged) continue
      if (reply.state === 'finished') settle(request, reply.outcome)
      if (reply.state === 'lost') resend(request)
    }
  }

  function resend(request: Open): void {
    request.acknowledged = false
    request.job.attempt++
    // It was admitted once; that there are others now is no reason to refuse it.
    request.maxDepth = Number.MAX_SAFE_INTEGER
    log.warn(
      { event: 'resend', requestId: request.job.id, attempt: request.job.attempt },
      'Redis lost a job; enqueueing it again'
    )
    void enqueue(request)
  }

  function producerOf(model: string): Producer {
    const producer = producers.get(model)
    if (producer === undefined) throw new Error(`no queue for model "${model}"`)
    return producer
  }

  function remainingMs({ job, sinceMs }: Open): number {
    return Math.max(1, Math.ceil(job.ttlMs - (performance.now() - sinceMs)))
  }
}

export type Broker = ReturnType<typeof createBroker>

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

import { randomUUID } from 'node:crypto'
import { type ImageFormat } from '@streamsight/images'
import {
  createConnection,
  createDeadLetters,
  createProducer,
  createReplyChannels,
  createUploads,
  enqueueScript,
  fingerprintOf,
  keysOf,
  limits,
  readDescription,
  readWorkers,
  replyChannel,
  type Connection,
  type DeadLetters,
  type Job,
  type Outcome,
  type Producer,
  type Script,
  type SeenWorker
} from '@streamsight/protocol'
import type { Logger } from '@streamsight/service'
import { createDelivery } from './delivery.ts'
import { createOpenRequests, type OpenRequest } from './open-requests.ts'

export interface BrokerOptions {
  url: string
  prefix: string
  models: string[]
  log: Logger
}

/** An image to classify, and on what terms. */
export interface Order {
  /** As `jobIdOf` gives it. */
  id: string
  model: string
  image: Buffer
  format: ImageFormat
  topK: number
  timeoutMs: number
  maxDepth: number
}

/**
 * An outage shorter than this is sat out by requests that arrive in it; longer, and they are refused at once. Long enough
 * for a slow script: Redis answers nothing in its first 5 s (busy-reply-threshold), and BUSY, an answer, from then on.
 */
const graceMs = 6_000

/** For so long after Redis refused a job for want of memory, that is said. */
const outOfMemoryMs = 5_000

/**
 * The Redis side of a gateway, over three connections, so that nothing short waits behind images: `commands` for *check*,
 * *cancel* and the registry, `uploads` for *enqueue* alone, `subscriber` for the answers.
 */
export function createBroker({ url, prefix, models, log }: BrokerOptions) {
  const connect = (purpose: string, preload: Script[] = []): Connection =>
    createConnection({ url, name: `gateway:${purpose}`, log, preload })
  const commands = connect('commands')
  const images = connect('uploads', [enqueueScript])
  const subscriber = connect('subscriber')
  const connections = [commands, images, subscriber]
  const gateway = randomUUID()
  const uploads = createUploads(images)
  const channels = createReplyChannels({ subscriber, log })
  const producers = new Map(
    models.map(model => [model, createProducer({ commands, uploads: images, keys: keysOf(prefix, model), gateway })])
  )
  const requests = createOpenRequests(forget)
  const delivery = createDelivery({ requests, producers, channels, uploads, log })
  let sweeping = false
  let timer: NodeJS.Timeout | undefined

  commands.onBack(() => {
    for (const producer of producers.values()) void delivery.prepare(producer)
  })
  // Messages may have been missed, and jobs wiped, while a connection was down.
  for (const connection of connections) connection.onBack(() => void sweep({ minWaitMs: 0 }))

  return {
    get open(): number {
      return requests.size
    },
    /** Jobs of a model that this gateway has on the stream. */
    queued: (model: string): number =>
      requests.all().filter(request => request.model === model && request.acknowledged).length,
    get listeners(): number {
      return channels.size
    },
    /** Milliseconds for which Redis has not been there; 0 if it is. */
    awayMs,
    /** Whether requests may wait for it. */
    isUsable: (): boolean => awayMs() < graceMs,
    isOutOfMemory: (): boolean => performance.now() - delivery.outOfMemoryAtMs() < outOfMemoryMs,
    /** Why no job gets to Redis though it is there; empty if they do. */
    refusals: delivery.refusals,
    /** Milliseconds until an image that comes now could be sent to Redis, by what the link carried lately. */
    uploadWaitMs: uploads.waitMs,
    /** Milliseconds that so many bytes take on it. */
    uploadMs: uploads.takesMs,
    /** Bytes of images that Redis has not acknowledged. */
    uploadBytes: uploads.bytes,

    /** Starts connecting; resolves without waiting for Redis, which may come later. */
    start(): void {
      // Tried again for ever; only `close` ends it, and that is no news.
      for (const connection of connections) connection.connect().catch(() => {})
      timer = setInterval(() => void sweep({ minWaitMs: limits.checkIntervalMs }), limits.checkIntervalMs)
    },

    readWorkers: (model: string): Promise<SeenWorker[]> => readWorkers(commands, keysOf(prefix, model)),
    readDescription: (model: string, digest: string) => readDescription(commands, keysOf(prefix, model), digest),
    depth: (model: string): Promise<number> => producerOf(model).depth(),
    deadLetters: (model: string): DeadLetters => createDeadLetters(commands, keysOf(prefix, model)),

    /** The outcome of an image. Rejects with an ApiError, or with `gone.reason` when the client left. `order.model` is one of `models`. */
    async classify(order: Order, gone: AbortSignal): Promise<Outcome> {
      gone.throwIfAborted()
      const job = jobOf(order)
      const found = requests.find(job)
      const request = found ?? requests.begin({ job, model: order.model, maxDepth: order.maxDepth })
      const answer = requests.wait(request, { timeoutMs: order.timeoutMs, gone })
      if (found === undefined) void delivery.send(request)
      return await answer
    },

    async close(): Promise<void> {
      clearInterval(timer)
      for (const connection of connections) connection.destroy()
    }
  }

  function awayMs(): number {
    return Math.max(...connections.map(connection => connection.awayMs()))
  }

  function jobOf({ id, image, format, topK, timeoutMs }: Order): Job {
    return {
      id,
      ttlMs: timeoutMs,
      replyTo: replyChannel(prefix, id),
      format,
      attempt: 0,
      fingerprint: fingerprintOf(image),
      options: { topK },
      image
    }
  }

  function forget({ job, model, sent }: OpenRequest): void {
    void channels.leave(job.replyTo)
    // Should this fail, the job runs in vain or expires with its deadline.
    if (sent)
      producerOf(model)
        .cancel(job.id)
        .catch(error => log.debug({ event: 'cancel-failed', err: error as Error }))
  }

  /** Looks after all jobs that have been waiting for `minWaitMs`. */
  async function sweep({ minWaitMs }: { minWaitMs: number }): Promise<void> {
    if (sweeping || !commands.isConnected()) return
    sweeping = true
    const before = performance.now() - minWaitMs
    const due = requests.all().filter(({ acknowledged, sinceMs }) => acknowledged && sinceMs <= before)
    for (const [model, producer] of producers)
      await delivery.check(
        producer,
        due.filter(request => request.model === model)
      )
    sweeping = false
  }

  function producerOf(model: string): Producer {
    const producer = producers.get(model)
    if (producer === undefined) throw new Error(`no queue for model "${model}"`)
    return producer
  }
}

export type Broker = ReturnType<typeof createBroker>

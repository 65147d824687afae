import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import type { TestContext } from 'node:test'
import {
  askOf,
  createClock,
  createConnection,
  createConsumer,
  createProducer,
  fingerprintOf,
  group,
  keysOf,
  protocolVersion,
  replyChannel,
  type Answer,
  type Connection,
  type Consumer,
  type DeadLetter,
  type Delivery,
  type Failure,
  type FailureCode,
  type Job,
  type Log,
  type Producer,
  type Success,
  type WorkerReport
} from '@streamsight/protocol'
import { openRedis } from '../../../test/support/redis.ts'

export type Teardown = Pick<TestContext, 'after'>

export const silent: Log = { info() {}, warn() {}, error() {} }

/** One model under a prefix of its own, with a gateway's words to Redis, and workers where a test asks for them. */
export async function openLab(t: Teardown, url: string) {
  const prefix = `t${randomUUID().slice(0, 8)}`
  const keys = keysOf(prefix, 'everyday')
  const [commands, redis] = [await connect(t, url), await openRedis(t, url)]
  const producer = producerOf('gateway-1')

  return {
    prefix,
    keys,
    commands,
    /** What the protocol itself has no words for. */
    redis,
    producer,
    /** The same model's queue as another gateway sees it. */
    producerOf,
    job: (fields: Partial<Job> = {}): Job => jobOf(prefix, fields),
    enqueue,
    worker,

    /** A job in the hands of `holder`. */
    async delivered(holder: Consumer, fields: Partial<Job> = {}): Promise<Delivery> {
      await enqueue(fields)
      return await readOne(holder)
    },

    /** Nothing is queued, nothing is with a worker. */
    async assertEmpty(): Promise<void> {
      assert.equal(await redis.xLen(keys.jobs), 0)
      assert.equal((await redis.xPending(keys.jobs, group)).pending, 0)
    }
  }

  function producerOf(gateway: string): Producer {
    return createProducer({ commands, uploads: commands, keys, gateway })
  }

  async function enqueue(fields: Partial<Job> = {}): Promise<Job> {
    const job = jobOf(prefix, fields)
    await producer.enqueue(job, 1_000)
    return job
  }

  async function worker(name: string): Promise<Consumer> {
    const consumer = createConsumer(
      { commands, blocking: await connect(t, url) },
      { keys, name, clock: createClock(commands) }
    )
    await consumer.ensureGroup()
    return consumer
  }
}

export type Lab = Awaited<ReturnType<typeof openLab>>

export async function connect(t: Teardown, url: string, { log = silent, name = 'test' } = {}): Promise<Connection> {
  const connection = createConnection({ url, name, log })
  t.after(() => connection.destroy())
  await connection.connect()
  return connection
}

/** The next new job, which must be there. */
export async function readOne(consumer: Consumer): Promise<Delivery> {
  const [delivery] = await consumer.read(1, (_entry, error) => {
    throw error
  })
  if (delivery === undefined) throw new Error('nothing to read')
  return delivery
}

export function jobOf(prefix: string, fields: Partial<Job> = {}): Job {
  const id = fields.id ?? randomUUID()
  const image = fields.image ?? Buffer.from('the bytes of a picture')
  return {
    id,
    ttlMs: 10_000,
    replyTo: replyChannel(prefix, id),
    format: 'jpeg',
    attempt: 0,
    fingerprint: fingerprintOf(image),
    options: { topK: 5 },
    image,
    ...fields
  }
}

/** An outcome that its `label` tells from others. */
export function success(id: string, label = 'tabby'): Success {
  return {
    v: protocolVersion,
    id,
    status: 'ok',
    predictions: [{ label, probability: 0.75, index: 281, id: 'n02123045' }],
    model: { name: 'everyday', version: '1' },
    engine: 'cpu',
    worker: 'host-1',
    batchSize: 4,
    deliveries: 1,
    timings: { queueMs: 1.5, decodeMs: 2.5, inferMs: 3.5 }
  }
}

/** The same as it is stored and published. */
export function answered(id: string, label?: string): Answer {
  return { ...success(id, label), ask }
}

export function failure(id: string, code: FailureCode = 'UNDECODABLE_IMAGE'): Failure {
  return {
    v: protocolVersion,
    id,
    status: 'error',
    code,
    message: 'The image is broken',
    worker: 'host-1',
    deliveries: 1
  }
}

export function letterOf(id: string): DeadLetter {
  return {
    id,
    code: 'POISONED_IMAGE',
    error: 'none survived',
    deliveries: 3,
    format: 'jpeg',
    bytes: 22,
    sha256: 'ab12',
    worker: 'a'
  }
}

export function reportOf(name: string): WorkerReport {
  return {
    name,
    pid: 4711,
    state: 'ready',
    model: { name: 'everyday', version: '1', classes: 1_000, width: 224, height: 224, about: '' },
    engine: 'cpu',
    precision: 'float32',
    precisionReason: 'exact: no VNNI',
    latency: { aMs: 3, bMs: 1.5 },
    maxBatch: 16,
    ratePerSecond: 400,
    held: 2,
    finished: 12
  }
}

/** What every job of `jobOf` asks, unless a test says otherwise. */
export const ask = askOf(jobOf('any'))

/** What is published on a job's channel, in order. */
export async function listen(t: Teardown, url: string, channel: string) {
  const messages: string[] = []
  const subscriber = await openRedis(t, url)
  await subscriber.subscribe(channel, message => {
    messages.push(message)
  })
  return messages
}

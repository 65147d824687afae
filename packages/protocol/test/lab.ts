import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import type { TestContext } from 'node:test'
import {
  createClock,
  createConnection,
  createConsumer,
  createProducer,
  group,
  keysOf,
  protocolVersion,
  replyChannel,
  type Connection,
  type Consumer,
  type DeadLetter,
  type Delivery,
  type Failure,
  type FailureCode,
  type Job,
  type Log,
  type Success
} from '@streamsight/protocol'
import { until } from '../../../test/support/until.ts'

export type Teardown = Pick<TestContext, 'after'>

export const silent: Log = { info() {}, warn() {}, error() {} }

/** One model under a prefix of its own, with a gateway's words to Redis, and workers where a test asks for them. */
export async function openLab(t: Teardown, url: string) {
  const prefix = `t${randomUUID().slice(0, 8)}`
  const keys = keysOf(prefix, 'everyday')
  const commands = await connect(t, url)
  const producer = createProducer(commands, keys)

  return {
    prefix,
    keys,
    commands,
    producer,
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
      assert.equal(await commands.xLen(keys.jobs), 0)
      assert.equal((await commands.xPending(keys.jobs, group)).pending, 0)
    }
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

export async function connect(t: Teardown, url: string, log = silent): Promise<Connection> {
  const connection = createConnection({ url, name: 'test', log })
  t.after(async () => {
    // Destroyed while it connects, node-redis would keep the new socket, and this process alive.
    await until('the connection is back', () => connection.isReady)
    connection.destroy()
  })
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
  return {
    id,
    ttlMs: 10_000,
    replyTo: replyChannel(prefix, id),
    format: 'jpeg',
    attempt: 0,
    options: { topK: 5 },
    image: Buffer.from('the bytes of a picture'),
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

/** What is published on a job's channel, in order. */
export async function listen(t: Teardown, url: string, channel: string) {
  const messages: string[] = []
  const subscriber = await connect(t, url)
  await subscriber.subscribe(channel, message => {
    messages.push(message)
  })
  return messages
}

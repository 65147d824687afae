import assert from 'node:assert/strict'
import {
  createClock,
  createConsumer,
  createProducer,
  askOf,
  encodeOutcome,
  group,
  keysOf,
  type CheckReply,
  type Connection,
  type Consumer,
  type Delivery,
  type Job,
  type ModelKeys,
  type Outcome,
  type Producer
} from '@streamsight/protocol'
import type { Redis } from '../../../test/support/redis.ts'
import { failure, jobOf, success } from './lab.ts'

const requestIds = ['r1', 'r2', 'r3', 'r4']

interface Gateway {
  name: string
  producer: Producer
  /** Open requests by id: somebody waits for each at this gateway. */
  open: Map<string, Job>
  /** Workers that fell silent with a job, as *check* told. */
  silentWorkers: Map<string, number>
}

interface Worker {
  name: string
  consumer: Consumer
  hands: Delivery[]
}

/** What Redis holds of the stream. */
interface Survey {
  entries: Array<{ entry: string; id: string }>
  pending: string[]
  delivered: string | undefined
}

/**
 * Two gateways and two workers that do one step at a time, in a world where Redis loses things between the steps. Each step
 * takes a number that says which request, worker or entry it is about, and asserts what its reply must be.
 */
export function createWorld({
  commands,
  redis,
  blocking,
  prefix
}: {
  commands: Connection
  redis: Redis
  blocking: Connection
  prefix: string
}) {
  const keys = keysOf(prefix, 'everyday')
  const gateways = ['g1', 'g2'].map((name): Gateway => ({
    name,
    open: new Map(),
    silentWorkers: new Map(),
    producer: createProducer({ commands, uploads: commands, keys, gateway: name })
  }))
  const clock = createClock(commands)
  const workers = ['a', 'b'].map((name): Worker => ({
    name,
    hands: [],
    consumer: createConsumer({ commands, blocking }, { keys, name, clock })
  }))
  /** The outcome that was stored first, by id, as long as Redis was not made to forget it. */
  const stored = new Map<string, string>()
  /** How often a job went from one worker to another, by id: no more than that may count as deliveries. */
  const takeovers = new Map<string, number>()
  /** Entries that a stranger parted from their holder. If their request has its answer, only the janitor finds them. */
  const orphans = new Set<string>()
  let outcomes = 0

  const steps = { enqueue, askOther, read, finish, fail, claim, crash, handBack, renew, cancel, check, leave }

  const losses = {
    async flushAll() {
      await redis.flushAll()
      stored.clear()
    },
    deleteStream: () => redis.del(keys.jobs),
    async trimStream() {
      for (const entry of (await survey(redis, keys)).pending) orphans.add(entry)
      await redis.xTrim(keys.jobs, 'MAXLEN', 0)
    },
    async destroyGroup() {
      await pick(workers, 0).consumer.ensureGroup()
      await redis.xGroupDestroy(keys.jobs, group)
    },
    async deleteConsumer(n: number) {
      const { consumer, name } = pick(workers, n)
      await consumer.ensureGroup()
      for (const { entry } of await consumer.pending({ idleMs: 0, mine: true, count: 100 })) orphans.add(entry)
      await redis.xGroupDelConsumer(keys.jobs, group, name)
    },
    async strayAck(n: number) {
      const { pending } = await survey(redis, keys)
      if (pending.length === 0) return
      orphans.add(pick(pending, n))
      await redis.xAck(keys.jobs, group, pick(pending, n))
    },
    /** As its TTL does; the request may have been answered or not. */
    async expireOutcome(n: number) {
      const id = pick(requestIds, n)
      await redis.del(keys.result(id))
      stored.delete(id)
    },
    flushScripts: () => redis.scriptFlush()
  }

  return { steps, losses, assertHolds, answerAll, assertQuiet }

  /** A new request, one that joins another gateway's, or the repetition of an *enqueue* whose answer was lost. */
  async function enqueue(n: number): Promise<void> {
    const [{ producer, open }, id] = [pick(gateways, n), pick(requestIds, n)]
    const job = open.get(id) ?? jobOf(prefix, { id })
    const reply = await producer.enqueue(job, 1_000)
    const isAnswered = stored.has(id) && !isRetryable(stored.get(id))
    assert.equal(reply.state === 'finished', isAnswered, `enqueue of ${id} says ${reply.state}`)
    if (reply.state === 'finished') return assert.equal(JSON.stringify(reply.outcome), stored.get(id))
    // An outcome that a new attempt may change made room for it.
    if (reply.state === 'queued') stored.delete(id)
    open.set(id, job)
  }

  /** The same id with another picture: refused as long as anything is known of the first. */
  async function askOther(n: number): Promise<void> {
    const id = pick(requestIds, n)
    if ((await redis.exists([keys.job(id), keys.result(id)])) === 0) return
    const other = jobOf(prefix, { id, image: Buffer.from('another picture') })
    assert.deepEqual(await pick(gateways, n).producer.enqueue(other, 1_000), { state: 'mismatch' })
    assert.deepEqual(await pick(gateways, n).producer.check([other]), [{ id, state: 'mismatch' }])
  }

  async function read(n: number): Promise<void> {
    const { consumer, hands } = pick(workers, n)
    await consumer.ensureGroup()
    const { entries, delivered } = await survey(redis, keys)
    // An empty stream would be waited for.
    if (!entries.some(({ entry }) => isAfter(entry, delivered))) return
    for (const delivery of await consumer.read(1 + (n % 3), assert.ifError)) take(delivery, hands)
  }

  function take(delivery: Delivery, hands: Delivery[]): void {
    const { job, deliveries } = delivery
    assert.ok(deliveries <= 1 + (takeovers.get(job.id) ?? 0), `${deliveries} deliveries of ${job.id} are counted`)
    hands.push(delivery)
  }

  /** The message reaches the gateways if `n` is even. */
  function finish(n: number): Promise<void> {
    return conclude(n, id => success(id, `outcome ${++outcomes}`))
  }

  /** With an outcome that answers who waits now, and nobody later. */
  function fail(n: number): Promise<void> {
    return conclude(n, id => failure(id, 'INFERENCE_FAILED'))
  }

  async function conclude(n: number, outcomeOf: (id: string) => Outcome): Promise<void> {
    const { consumer, hands } = pick(workers, n)
    const delivery = hands.shift()
    if (delivery === undefined) return
    const { id } = delivery.job
    const outcome = outcomeOf(id)
    assert.equal(await consumer.finish(delivery, outcome), !stored.has(id), 'finish is wrong about who came first')
    if (!stored.has(id)) stored.set(id, encodeOutcome(outcome, askOf(delivery.job)))
    if (n % 2 === 0) for (const { open } of gateways) open.delete(id)
  }

  /** Takes over what is pending, and not in these hands already. The other worker may go on with it. */
  async function claim(n: number): Promise<void> {
    const { consumer, hands } = pick(workers, n)
    await consumer.ensureGroup()
    const pending = await consumer.pending({ idleMs: 0, count: 100 })
    const others = pending.filter(({ entry }) => !hands.some(held => held.entry === entry))
    if (others.length === 0) return
    const delivery = await consumer.claim(pick(others, n), 0)
    if (delivery === undefined) return
    countTakeover(delivery)
    take(delivery, hands)
  }

  function countTakeover({ job: { id } }: Delivery): void {
    takeovers.set(id, (takeovers.get(id) ?? 0) + 1)
  }

  async function crash(n: number): Promise<void> {
    pick(workers, n).hands.length = 0
  }

  async function handBack(n: number): Promise<void> {
    const { consumer, hands } = pick(workers, n)
    await consumer.ensureGroup()
    const delivery = hands.pop()
    if (delivery) await consumer.handBack(delivery)
  }

  async function renew(n: number): Promise<void> {
    const { consumer, hands } = pick(workers, n)
    await consumer.ensureGroup()
    if (hands.length > 0) await consumer.renew(hands.map(({ entry }) => entry))
  }

  /** The last client of a gateway left. The job stays as long as the other gateway is known to wait for it. */
  async function cancel(n: number): Promise<void> {
    const [{ producer, open }, id] = [pick(gateways, n), pick(requestIds, n)]
    const [other] = gateways.filter(({ producer: another }) => another !== producer)
    const isAwaited = (await redis.hExists(keys.job(id), `gateway:${other?.name}`)) === 1
    const before = await redis.hGet(keys.job(id), 'entry')
    await producer.cancel(id)
    open.delete(id)
    if (isAwaited) assert.equal(await redis.hGet(keys.job(id), 'entry'), before, 'cancelled under another who waits')
  }

  async function leave(n: number): Promise<void> {
    const { consumer } = pick(workers, n)
    await consumer.ensureGroup()
    const held = await consumer.pending({ idleMs: 0, mine: true, count: 1 })
    assert.equal(await consumer.leave(), held.length === 0)
  }

  async function check(): Promise<void> {
    for (const gateway of gateways) {
      const truth = await survey(redis, keys)
      for (const reply of await gateway.producer.check([...gateway.open.values()])) await learn(gateway, reply, truth)
    }
  }

  /** What the gateway does with one reply of *check*. */
  async function learn(gateway: Gateway, reply: CheckReply, { entries, pending, delivered }: Survey): Promise<void> {
    const { id } = reply
    assert.equal(reply.state === 'finished', stored.has(id), `check of ${id} says ${reply.state}`)
    if (reply.state === 'finished') {
      assert.equal(JSON.stringify(reply.outcome), stored.get(id))
      gateway.open.delete(id)
    } else if (reply.state === 'running') gateway.silentWorkers.set(id, Math.max(0, reply.deliveries - 1))
    else if (reply.state === 'queued') gateway.silentWorkers.delete(id)
    else {
      assert.equal(reply.state, 'lost')
      const isLive = entries.some(
        ({ entry, id: of }) => of === id && (pending.includes(entry) || isAfter(entry, delivered))
      )
      assert.ok(!isLive, `check calls ${id} lost, which is not`)
      await enqueueAgain(gateway, id)
    }
  }

  async function enqueueAgain({ open, producer, silentWorkers }: Gateway, id: string): Promise<void> {
    const job = open.get(id)
    assert.ok(job)
    const again = { ...job, attempt: job.attempt + (silentWorkers.get(id) ?? 0) }
    silentWorkers.delete(id)
    open.set(id, again)
    assert.deepEqual(await producer.enqueue(again, 1_000), { state: 'queued' })
  }

  /** What no step and no loss may break. */
  async function assertHolds(): Promise<void> {
    const { entries, pending } = await survey(redis, keys)
    const unfounded = pending.filter(entry => !orphans.has(entry) && !entries.some(there => there.entry === entry))
    assert.deepEqual(unfounded, [], 'pending, and not on the stream')
    assert.equal(
      new Set(entries.map(({ id }) => id)).size,
      entries.length,
      `two entries of one id: ${JSON.stringify(entries)}`
    )
    for (const [id, outcome] of stored)
      assert.equal(await redis.hGet(keys.result(id), 'outcome'), outcome, `the outcome of ${id} changed`)
  }

  /** From here on nothing is lost any more: the workers do all there is, the gateway checks, until every request is answered. */
  async function answerAll(): Promise<void> {
    await workOff()
    const open = () => gateways.flatMap(gateway => [...gateway.open.keys()])
    for (let round = 1; open().length > 0; round++) {
      assert.ok(round < 4, `never answered: ${open().join(', ')}`)
      await check()
      await workOff()
    }
  }

  async function workOff(): Promise<void> {
    for (const n of workers.keys()) {
      await read(3 * n + 2)
      await claimAll(n)
      while (pick(workers, n).hands.length > 0) await finish(n)
    }
  }

  async function claimAll(n: number): Promise<void> {
    for (const entry of (await survey(redis, keys)).pending) {
      const { consumer, hands } = pick(workers, n)
      if (hands.some(held => held.entry === entry)) continue
      const delivery = await consumer.claim({ entry, consumer: '', idleMs: 0, deliveries: 0 }, 0)
      if (delivery) hands.push(delivery)
    }
  }

  async function assertQuiet(): Promise<void> {
    const { entries, pending } = await survey(redis, keys)
    assert.deepEqual(pending, [])
    assert.deepEqual(
      entries.filter(({ entry }) => !orphans.has(entry)),
      []
    )
    for await (const found of redis.scanIterator({ MATCH: `*${prefix}*`, COUNT: 1_000 })) {
      for (const key of found) assert.ok(key === keys.jobs || (await redis.pTTL(key)) > 0, `${key} has no TTL`)
    }
  }
}

export type World = ReturnType<typeof createWorld>

async function survey(redis: Redis, keys: ModelKeys): Promise<Survey> {
  const entries = ((await redis.xRange(keys.jobs, '-', '+')) ?? []).map(({ id: entry, message }) => ({
    entry,
    id: message['id'] ?? ''
  }))
  const groups = await redis.xInfoGroups(keys.jobs).catch(() => [])
  if (groups.length === 0) return { entries, pending: [], delivered: undefined }
  const pending = await redis.xPendingRange(keys.jobs, group, '-', '+', 100)
  return { entries, pending: pending.map(({ id }) => id), delivered: String(groups[0]?.['last-delivered-id']) }
}

/** True if the group has yet to deliver it. */
function isAfter(entry: string, delivered: string | undefined): boolean {
  const [ms = 0, seq = 0] = entry.split('-').map(Number)
  const [deliveredMs = 0, deliveredSeq = 0] = (delivered ?? '0-0').split('-').map(Number)
  return ms > deliveredMs || (ms === deliveredMs && seq > deliveredSeq)
}

function pick<T>(from: readonly T[], n: number): T {
  return from[n % from.length] as T
}

function isRetryable(stored: string | undefined): boolean {
  return stored?.includes('"INFERENCE_FAILED"') ?? false
}

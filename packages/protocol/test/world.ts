import assert from 'node:assert/strict'
import {
  createClock,
  createConsumer,
  createProducer,
  encodeOutcome,
  group,
  keysOf,
  type CheckReply,
  type Connection,
  type Consumer,
  type Delivery,
  type Job,
  type ModelKeys
} from '@streamsight/protocol'
import { jobOf, success } from './lab.ts'

const requestIds = ['r1', 'r2', 'r3', 'r4']

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
 * A gateway and two workers that do one step at a time, in a world where Redis loses things between the steps. Each step
 * takes a number that says which request, worker or entry it is about, and asserts what its reply must be.
 */
export function createWorld({
  commands,
  blocking,
  prefix
}: {
  commands: Connection
  blocking: Connection
  prefix: string
}) {
  const keys = keysOf(prefix, 'everyday')
  const producer = createProducer(commands, keys)
  const clock = createClock(commands)
  const workers = ['a', 'b'].map((name): Worker => ({
    name,
    hands: [],
    consumer: createConsumer({ commands, blocking }, { keys, name, clock })
  }))
  /** Open requests by id: somebody waits for each. */
  const open = new Map<string, Job>()
  /** The outcome that was stored first, by id, as long as Redis was not made to forget it. */
  const stored = new Map<string, string>()
  /** Entries that a stranger parted from their holder. If their request has its answer, only the janitor finds them. */
  const orphans = new Set<string>()
  let outcomes = 0

  const steps = { enqueue, read, finish, claim, crash, handBack, renew, cancel, check, leave }

  const losses = {
    async flushAll() {
      await commands.flushAll()
      stored.clear()
    },
    deleteStream: () => commands.del(keys.jobs),
    async trimStream() {
      for (const entry of (await survey(commands, keys)).pending) orphans.add(entry)
      await commands.xTrim(keys.jobs, 'MAXLEN', 0)
    },
    async destroyGroup() {
      await pick(workers, 0).consumer.ensureGroup()
      await commands.xGroupDestroy(keys.jobs, group)
    },
    async deleteConsumer(n: number) {
      const { consumer, name } = pick(workers, n)
      await consumer.ensureGroup()
      for (const { entry } of await consumer.pending({ idleMs: 0, mine: true, count: 100 })) orphans.add(entry)
      await commands.xGroupDelConsumer(keys.jobs, group, name)
    },
    async strayAck(n: number) {
      const { pending } = await survey(commands, keys)
      if (pending.length === 0) return
      orphans.add(pick(pending, n))
      await commands.xAck(keys.jobs, group, pick(pending, n))
    },
    /** As its TTL does; the request may have been answered or not. */
    async expireOutcome(n: number) {
      const id = pick(requestIds, n)
      await commands.del(keys.result(id))
      stored.delete(id)
    },
    flushScripts: () => commands.scriptFlush()
  }

  return { steps, losses, assertHolds, answerAll, assertQuiet }

  /** A new request, or the repetition of an ENQ whose answer was lost. */
  async function enqueue(n: number): Promise<void> {
    const id = pick(requestIds, n)
    const job = open.get(id) ?? jobOf(prefix, { id })
    const reply = await producer.enqueue(job, 1_000)
    assert.equal(reply.state === 'finished', stored.has(id), `ENQ of ${id} says ${reply.state}`)
    if (reply.state === 'finished') assert.equal(encodeOutcome(reply.outcome), stored.get(id))
    else open.set(id, job)
  }

  async function read(n: number): Promise<void> {
    const { consumer, hands } = pick(workers, n)
    await consumer.ensureGroup()
    const { entries, delivered } = await survey(commands, keys)
    // An empty stream would be waited for.
    if (!entries.some(({ entry }) => isAfter(entry, delivered))) return
    hands.push(...(await consumer.read(1 + (n % 3), assert.ifError)))
  }

  /** The message reaches the gateway if `n` is even. */
  async function finish(n: number): Promise<void> {
    const { consumer, hands } = pick(workers, n)
    const delivery = hands.shift()
    if (delivery === undefined) return
    const { id } = delivery.job
    const outcome = success(id, `outcome ${++outcomes}`)
    assert.equal(await consumer.finish(delivery, outcome), !stored.has(id), 'FIN is wrong about who came first')
    if (!stored.has(id)) stored.set(id, encodeOutcome(outcome))
    if (n % 2 === 0) open.delete(id)
  }

  /** Takes over what is pending, and not in these hands already. The other worker may go on with it. */
  async function claim(n: number): Promise<void> {
    const { consumer, hands } = pick(workers, n)
    await consumer.ensureGroup()
    const pending = await consumer.pending({ idleMs: 0, count: 100 })
    const others = pending.filter(({ entry }) => !hands.some(held => held.entry === entry))
    if (others.length === 0) return
    const delivery = await consumer.claim(pick(others, n), 0)
    if (delivery) hands.push(delivery)
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

  /** The client left. */
  async function cancel(n: number): Promise<void> {
    const id = pick(requestIds, n)
    await producer.cancel(id)
    open.delete(id)
  }

  async function leave(n: number): Promise<void> {
    const { consumer } = pick(workers, n)
    await consumer.ensureGroup()
    const held = await consumer.pending({ idleMs: 0, mine: true, count: 1 })
    assert.equal(await consumer.leave(), held.length === 0)
  }

  async function check(): Promise<void> {
    const truth = await survey(commands, keys)
    for (const reply of await producer.check([...open.keys()])) await learn(reply, truth)
  }

  /** What the gateway does with one reply of CHECK. */
  async function learn(reply: CheckReply, { entries, pending, delivered }: Survey): Promise<void> {
    const { id } = reply
    assert.equal(reply.state === 'finished', stored.has(id), `CHECK of ${id} says ${reply.state}`)
    if (reply.state === 'finished') {
      assert.equal(encodeOutcome(reply.outcome), stored.get(id))
      open.delete(id)
    } else if (reply.state === 'lost') {
      const isLive = entries.some(
        ({ entry, id: of }) => of === id && (pending.includes(entry) || isAfter(entry, delivered))
      )
      assert.ok(!isLive, `CHECK calls ${id} lost, which is not`)
      await enqueueAgain(id)
    }
  }

  async function enqueueAgain(id: string): Promise<void> {
    const job = open.get(id)
    assert.ok(job)
    open.set(id, { ...job, attempt: job.attempt + 1 })
    assert.deepEqual(await producer.enqueue({ ...job, attempt: job.attempt + 1 }, 1_000), { state: 'queued' })
  }

  /** What no step and no loss may break. */
  async function assertHolds(): Promise<void> {
    const { entries, pending } = await survey(commands, keys)
    const unfounded = pending.filter(entry => !orphans.has(entry) && !entries.some(there => there.entry === entry))
    assert.deepEqual(unfounded, [], 'pending, and not on the stream')
    assert.equal(
      new Set(entries.map(({ id }) => id)).size,
      entries.length,
      `two entries of one id: ${JSON.stringify(entries)}`
    )
    for (const [id, outcome] of stored)
      assert.equal(await commands.get(keys.result(id)), outcome, `the outcome of ${id} changed`)
  }

  /** From here on nothing is lost any more: the workers do all there is, the gateway checks, until every request is answered. */
  async function answerAll(): Promise<void> {
    await workOff()
    for (let round = 1; open.size > 0; round++) {
      assert.ok(round < 4, `never answered: ${[...open.keys()].join(', ')}`)
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
    for (const entry of (await survey(commands, keys)).pending) {
      const { consumer, hands } = pick(workers, n)
      if (hands.some(held => held.entry === entry)) continue
      const delivery = await consumer.claim({ entry, consumer: '', idleMs: 0, deliveries: 1 }, 0)
      if (delivery) hands.push(delivery)
    }
  }

  async function assertQuiet(): Promise<void> {
    const { entries, pending } = await survey(commands, keys)
    assert.deepEqual(pending, [])
    assert.deepEqual(
      entries.filter(({ entry }) => !orphans.has(entry)),
      []
    )
    for await (const found of commands.scanIterator({ MATCH: `*${prefix}*`, COUNT: 1_000 })) {
      for (const key of found) assert.ok(key === keys.jobs || (await commands.pTTL(key)) > 0, `${key} has no TTL`)
    }
  }
}

export type World = ReturnType<typeof createWorld>

async function survey(commands: Connection, keys: ModelKeys): Promise<Survey> {
  const entries = ((await commands.xRange(keys.jobs, '-', '+')) ?? []).map(({ id: entry, message }) => ({
    entry,
    id: message['id'] ?? ''
  }))
  const groups = await commands.xInfoGroups(keys.jobs).catch(() => [])
  if (groups.length === 0) return { entries, pending: [], delivered: undefined }
  const pending = await commands.xPendingRange(keys.jobs, group, '-', '+', 100)
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

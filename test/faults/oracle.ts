import assert from 'node:assert/strict'
import { keysOf } from '@streamsight/protocol'
import { openRedis } from '../support/redis.ts'
import { fixtures, type System } from '../support/system.ts'
import { until } from '../support/until.ts'

/** What became of a set of requests. Every request is counted exactly once. */
export interface Tally {
  requests: number
  ok: number
  /** 200 with another picture's answer. */
  wrong: number
  /** No HTTP answer at all. */
  lost: number
  /** When, on the monotonic clock, and why: the first few of these. */
  losses: Array<{ atMs: number; reason: string }>
  /** Answers other than 200, by error code. */
  errors: Record<string, number>
  /** 503 answers without Retry-After. */
  withoutRetryAfter: number
  /** Slowest answer, in milliseconds. */
  slowestMs: number
}

export interface Load {
  concurrency: number
  /** Ends the load; requests that are open then are still waited for. */
  until: () => boolean
  /** Pause of each client between two requests. */
  pauseMs?: number
}

/** Called with when a request was sent that has just been answered with 200. */
type OnOk = (sentMs: number) => void

/** Sends our pictures again and again, each client waiting for its answer, and checks each answer against its picture. */
export async function drive(
  system: Pick<System, 'predict'>,
  { concurrency, until: ends, pauseMs = 0 }: Load
): Promise<Tally> {
  const tally = emptyTally()
  let next = 0
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      while (!ends()) {
        await send(system, next++, { tally })
        if (pauseMs > 0) await pause(pauseMs)
      }
    })
  )
  return tally
}

/** The same at a given rate, whether answers come or not: clients don't know how busy we are. */
export async function driveOpen(
  system: Pick<System, 'predict'>,
  { ratePerSecond, until: ends, onOk }: { ratePerSecond: number; until: () => boolean; onOk?: OnOk }
): Promise<Tally> {
  const tally = emptyTally()
  const sent: Array<Promise<void>> = []
  const startedMs = performance.now()
  while (!ends()) {
    const due = ((performance.now() - startedMs) / 1_000) * ratePerSecond
    while (sent.length < due) sent.push(send(system, sent.length, { tally, onOk }))
    await pause(10)
  }
  await Promise.all(sent)
  return tally
}

export function emptyTally(): Tally {
  return { requests: 0, ok: 0, wrong: 0, lost: 0, losses: [], errors: {}, withoutRetryAfter: 0, slowestMs: 0 }
}

/** What fetch failed of is in the cause of its error. */
function reasonOf(error: unknown): string {
  const { cause = error } = error as { cause?: unknown }
  return String(cause)
}

export function pause(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms))
}

export async function send(
  system: Pick<System, 'predict'>,
  i: number,
  { tally, onOk }: { tally: Tally; onOk?: OnOk | undefined }
): Promise<void> {
  const { image, label } = fixtures[i % fixtures.length] as (typeof fixtures)[number]
  const startedMs = performance.now()
  tally.requests++
  try {
    const { status, body, headers } = await system.predict(image)
    if (status === 200 && body.predictions?.[0]?.label === label) {
      tally.ok++
      onOk?.(startedMs)
    } else if (status === 200) tally.wrong++
    else {
      const code = body.error?.code ?? `HTTP ${status}`
      tally.errors[code] = (tally.errors[code] ?? 0) + 1
      if (status === 503 && headers.get('retry-after') === null) tally.withoutRetryAfter++
    }
  } catch (error) {
    tally.lost++
    if (tally.losses.length < 20) tally.losses.push({ atMs: performance.now(), reason: reasonOf(error) })
  }
  tally.slowestMs = Math.max(tally.slowestMs, performance.now() - startedMs)
}

/** A load of a fixed number of requests. */
export function driveCount(
  system: Pick<System, 'predict'>,
  { count, concurrency }: { count: number; concurrency: number }
): Promise<Tally> {
  let started = 0
  return drive(system, { concurrency, until: () => started++ >= count })
}

/** A load that goes on while `sabotage` runs and a second longer. */
export async function driveDuring(system: Pick<System, 'predict'>, sabotage: () => Promise<void>): Promise<Tally> {
  let over = false
  const load = drive(system, { concurrency: 16, until: () => over })
  await pause(300)
  await sabotage()
  await pause(1_000)
  over = true
  return await load
}

/** Every request had one outcome, and it was its own picture's; errors only of the codes that this fault may cause. */
export function assertHonest(tally: Tally, allowed: string[] = []): void {
  const summary = JSON.stringify(tally)
  assert.ok(tally.requests > 0, 'nothing was sent')
  assert.equal(tally.wrong, 0, `wrong answers: ${summary}`)
  assert.equal(tally.lost, 0, `lost requests: ${summary}`)
  assert.deepEqual(
    Object.keys(tally.errors).filter(code => !allowed.includes(code)),
    [],
    `unexpected errors: ${summary}`
  )
  assert.equal(tally.withoutRetryAfter, 0, `503 without Retry-After: ${summary}`)
  const refused = Object.values(tally.errors).reduce((a, b) => a + b, 0)
  assert.equal(tally.ok + refused, tally.requests, `not one outcome each: ${summary}`)
}

/** After the storm: nothing is left in Redis but what belongs there, and nothing in the gateway. */
export async function assertQuiet(
  system: Pick<System, 'redis' | 'prefix' | 'url'>,
  models = ['everyday']
): Promise<void> {
  const ends: Array<() => void> = []
  const redis = await openRedis({ after: end => void ends.push(end as () => void) }, system.redis.url)
  try {
    const keysOfModels = models.map(model => keysOf(system.prefix, model))
    for (const { jobs } of keysOfModels) {
      await until(`${jobs} is empty`, async () => (await redis.xLen(jobs)) === 0)
      await until(`nothing is pending in ${jobs}`, async () => (await redis.xPending(jobs, 'workers')).pending === 0)
    }
    await until(
      'no channel is left',
      async () => (await redis.sendCommand<string[]>(['PUBSUB', 'CHANNELS', `${system.prefix}:*`])).length === 0
    )
    const permanent = keysOfModels.flatMap(keys => [keys.jobs, keys.workers, keys.seen, keys.dead])
    for (const key of await redis.keys(`{${system.prefix}:*`)) {
      assert.ok(permanent.includes(key) || (await redis.ttl(key)) !== -1, `${key} has no TTL`)
    }
    await until('the gateway waits for nothing', async () => (await metric(system, 'streamsight_open_requests')) === 0)
    await until(
      'the gateway listens to no channel',
      async () => (await metric(system, 'streamsight_reply_channels')) === 0
    )
    assert.equal(await metric(system, 'streamsight_held_bytes'), 0)
  } finally {
    for (const end of ends) end()
  }
}

/** The value of a metric without labels. */
export async function metric({ url }: Pick<System, 'url'>, name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text()
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1])
}

/** Waits until the gateway's heap is within 48 MB of what it was. Asking makes garbage, which makes the collector run. */
export async function assertMemoryBack(system: Pick<System, 'url'>, beforeBytes: number): Promise<void> {
  await until(
    'the heap is back at its baseline',
    async () => (await metric(system, 'nodejs_heap_size_used_bytes')) < beforeBytes + 48 * 1024 * 1024,
    60_000
  )
}

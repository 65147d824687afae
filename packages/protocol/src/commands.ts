import { binary, type NodeRedis, type Sending } from './link.ts'
import { isReply } from './reply-errors.ts'
import type { Script } from './scripts.ts'

export interface ScriptCall extends Sending {
  keys: string[]
  args: Array<string | Buffer>
}

/** An entry of a stream; `Value` is Buffer where its fields are an image's. */
export interface Entry<Value = string> {
  id: string
  fields: Record<string, Value>
}

export interface GroupRef {
  stream: string
  group: string
  consumer: string
}

/** A delivered entry that nobody acknowledged. */
export interface PendingEntry {
  id: string
  consumer: string
  idleMs: number
  deliveries: number
}

/** How a command gets to Redis. */
export type Send = <T>(what: string, call: (client: NodeRedis) => Promise<T>, sending?: Sending) => Promise<T>

type RawEntry<Value> = { id: Buffer | string; message: Record<string, Value> }

/** The commands that the protocol needs, in its own words. No type of the client library leaves this package. */
export function createCommands(send: Send) {
  return {
    /** Runs a script by its digest, loading it first where Redis lost it (a restart, SCRIPT FLUSH). Roles need no EVAL for it. */
    async run(script: Script, { keys, args, ...sending }: ScriptCall): Promise<unknown> {
      const call = () => send(script.name, client => client.evalSha(script.sha, { keys, arguments: args }), sending)
      try {
        return await call()
      } catch (error) {
        if (!isReply(error, 'NOSCRIPT')) throw error
        await send('SCRIPT LOAD', client => client.scriptLoad(script.text))
        return await call()
      }
    },

    /** Redis' clock, in milliseconds since 1970. */
    async timeMs(): Promise<number> {
      const [seconds, micros] = await send('TIME', client => client.sendCommand<[string, string]>(['TIME']))
      return Number(seconds) * 1_000 + Number(micros) / 1_000
    },

    streamLength: (stream: string): Promise<number> => send('XLEN', client => client.xLen(stream)),

    /** New entries for this consumer, after waiting up to `blockMs` for the first. */
    async readGroup(
      { stream, group, consumer }: GroupRef,
      { count, blockMs }: { count: number; blockMs: number }
    ): Promise<Array<Entry<Buffer>>> {
      const reply = (await send(
        'XREADGROUP',
        client =>
          binary(client).xReadGroup(group, consumer, { key: stream, id: '>' }, { COUNT: count, BLOCK: blockMs }),
        { blockMs }
      )) as Array<{ messages: Array<RawEntry<Buffer>> }> | null
      return (reply?.[0]?.messages ?? []).map(toEntry)
    },

    /** Entries that were delivered and not acknowledged for `idleMs`: of this consumer with `mine`, else of all. */
    async pendingEntries(
      { stream, group, consumer }: GroupRef,
      { idleMs, count, mine = false }: { idleMs: number; count: number; mine?: boolean }
    ): Promise<PendingEntry[]> {
      const rows = await send('XPENDING', client =>
        client.xPendingRange(stream, group, '-', '+', count, { IDLE: idleMs, ...(mine ? { consumer } : {}) })
      )
      return rows.map(row => ({
        id: row.id,
        consumer: row.consumer,
        idleMs: row.millisecondsSinceLastDelivery,
        deliveries: row.deliveriesCounter
      }))
    },

    /** Takes over an entry if it was idle for `idleMs`, as its delivery number `deliveries`; of several that try, one gets it. */
    async claimEntry(
      { stream, group, consumer }: GroupRef,
      { id, idleMs, deliveries }: { id: string; idleMs: number; deliveries: number }
    ): Promise<Entry<Buffer> | undefined> {
      const reply = (await send('XCLAIM', client =>
        binary(client).xClaim(stream, group, consumer, idleMs, id, { RETRYCOUNT: deliveries })
      )) as Array<RawEntry<Buffer> | null>
      return reply[0] ? toEntry(reply[0]) : undefined
    },

    /** Makes entries look delivered just now. Never with FORCE: that would bring back what was finished elsewhere. */
    async renewEntries({ stream, group, consumer }: GroupRef, ids: string[]): Promise<void> {
      await send('XCLAIM', client => client.xClaimJustId(stream, group, consumer, 0, ids))
    },

    /** Makes an entry look idle for `idleMs` and delivered `deliveries` times. */
    async releaseEntry(
      { stream, group, consumer }: GroupRef,
      { id, idleMs, deliveries }: { id: string; idleMs: number; deliveries: number }
    ): Promise<void> {
      await send('XCLAIM', client =>
        client.xClaimJustId(stream, group, consumer, 0, id, { IDLE: idleMs, RETRYCOUNT: deliveries })
      )
    },

    /** Removes entries that are older. Returns how many. */
    trimBefore: (stream: string, timeMs: number): Promise<number> =>
      send('XTRIM', client => client.xTrim(stream, 'MINID', Math.floor(timeMs))),

    /** The latest entries, the latest first. */
    async latestEntries(stream: string, count: number): Promise<Entry[]> {
      const entries = await send('XREVRANGE', client => client.xRevRange(stream, '+', '-', { COUNT: count }))
      return ((entries ?? []) as Array<RawEntry<string>>).map(toEntry)
    },

    async entryOf(stream: string, id: string): Promise<Entry | undefined> {
      const entries = await send('XRANGE', client => client.xRange(stream, id, id))
      const found = entries?.[0] as RawEntry<string> | undefined
      return found && toEntry(found)
    },

    /** True if it was there. */
    deleteEntry: async (stream: string, id: string): Promise<boolean> =>
      (await send('XDEL', client => client.xDel(stream, id))) === 1,

    /** True if the key was there; it then has `ms` to live from now on. */
    extendLife: async (key: string, ms: number): Promise<boolean> =>
      (await send('PEXPIRE', client => client.pExpire(key, ms))) === 1,

    async keepText(key: string, text: string, ms: number): Promise<void> {
      await send('SET', client => client.set(key, text, { expiration: { type: 'PX', value: ms } }))
    },

    textOf: async (key: string): Promise<string | undefined> =>
      (await send('GET', client => client.get(key))) ?? undefined,

    hash: (key: string): Promise<Record<string, string>> => send('HGETALL', client => client.hGetAll(key)),

    deleteField: (key: string, field: string): Promise<number> => send('HDEL', client => client.hDel(key, field)),

    /** All members of a sorted set. */
    scores: (key: string): Promise<Array<{ value: string; score: number }>> =>
      send('ZRANGE', client => client.zRangeWithScores(key, 0, -1)),

    deleteMember: (key: string, member: string): Promise<number> => send('ZREM', client => client.zRem(key, member)),

    membersBelow: (key: string, score: number): Promise<string[]> =>
      send('ZRANGEBYSCORE', client => client.zRangeByScore(key, '-inf', score))
  }
}

export type Commands = ReturnType<typeof createCommands>

function toEntry<Value>({ id, message }: RawEntry<Value>): Entry<Value> {
  // A small Buffer is a slice of the socket's 64 KB chunk and would keep all of it alive.
  return { id: id.toString(), fields: message }
}

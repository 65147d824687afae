import { within, type Connection } from './client.ts'
import { limits } from './limits.ts'
import type { ModelKeys } from './names.ts'

/** What is kept of a job that was given up. Never the image. */
export interface DeadLetter {
  /** The job's id, which is the client's `requestId`. */
  id: string
  code: string
  /** The last thing known to have gone wrong. */
  error: string
  deliveries: number
  format: string
  bytes: number
  /** Of the image, so that its owner can recognize it. */
  sha256: string
  /** The worker that gave up. */
  worker: string
}

/** A dead letter in its stream; the first half of `entry` is when it was given up, in Redis' milliseconds. */
export interface StoredDeadLetter extends DeadLetter {
  entry: string
  at: string
}

/** An operator's side of the dead letters of a model. */
export function createDeadLetters(commands: Connection, keys: ModelKeys) {
  return {
    /** The latest first. */
    async list(count: number): Promise<StoredDeadLetter[]> {
      const entries = await within(
        limits.commandTimeoutMs,
        'XREVRANGE',
        commands.xRevRange(keys.dead, '+', '-', { COUNT: count })
      )
      return (entries ?? []).map(({ id, message }) => decode(id, message))
    },

    async get(entry: string): Promise<StoredDeadLetter | undefined> {
      const entries = await within(limits.commandTimeoutMs, 'XRANGE', commands.xRange(keys.dead, entry, entry))
      const found = entries?.[0]
      return found && decode(found.id, found.message)
    },

    /** True if it was there. */
    async remove(entry: string): Promise<boolean> {
      return (await within(limits.commandTimeoutMs, 'XDEL', commands.xDel(keys.dead, entry))) === 1
    }
  }
}

export type DeadLetters = ReturnType<typeof createDeadLetters>

/** The fields of a dead letter in wire order. */
export function encodeDeadLetter(letter: DeadLetter): string[] {
  return Object.entries(letter).flatMap(([field, value]) => [field, String(value)])
}

function decode(entry: string, fields: Record<string, string>): StoredDeadLetter {
  const text = (name: keyof DeadLetter) => fields[name] ?? ''
  return {
    entry,
    at: new Date(Number(entry.split('-')[0])).toISOString(),
    id: text('id'),
    code: text('code'),
    error: text('error'),
    deliveries: Number(text('deliveries')),
    format: text('format'),
    bytes: Number(text('bytes')),
    sha256: text('sha256'),
    worker: text('worker')
  }
}

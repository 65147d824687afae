import type { Entry } from './commands.ts'
import type { Connection } from './connection.ts'
import { entryTimeMs, type ModelKeys } from './names.ts'

/** What is kept of a job that was given up. Never the image. */
export interface DeadLetter {
  /** The job's id. */
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
    list: async (count: number): Promise<StoredDeadLetter[]> =>
      (await commands.latestEntries(keys.dead, count)).map(decode),

    async get(entry: string): Promise<StoredDeadLetter | undefined> {
      const found = await commands.entryOf(keys.dead, entry)
      return found && decode(found)
    },

    /** True if it was there. */
    remove: (entry: string): Promise<boolean> => commands.deleteEntry(keys.dead, entry)
  }
}

export type DeadLetters = ReturnType<typeof createDeadLetters>

/** The fields of a dead letter in wire order. */
export function encodeDeadLetter(letter: DeadLetter): string[] {
  return Object.entries(letter).flatMap(([field, value]) => [field, String(value)])
}

function decode({ id: entry, fields }: Entry): StoredDeadLetter {
  const text = (name: keyof DeadLetter) => fields[name] ?? ''
  return {
    entry,
    at: new Date(entryTimeMs(entry)).toISOString(),
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

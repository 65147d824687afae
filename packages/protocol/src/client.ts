import { createClient, RESP_TYPES } from 'redis'
import { limits } from './limits.ts'
import type { Script } from './scripts.ts'

/** The part of pino that this package needs. */
export interface Log {
  info: (fields: object, message: string) => void
  warn: (fields: object, message: string) => void
  error: (fields: object, message: string) => void
}

export interface ConnectOptions {
  /** redis://, rediss:// or unix:// */
  url: string
  /** CLIENT SETNAME: what an operator sees in CLIENT LIST. */
  name: string
  log: Log
}

/** node-redis documents `undefined` as "no timeout", its types do not allow it. */
const noTimeout: object = { timeout: undefined }

/**
 * The one way to a Redis connection, with the settings that node-redis needs to survive faults:
 * - `timeout: undefined`: the default makes an AbortSignal a command, which costs 4 to 5 times the CPU and does not
 *   cover the wait for a reply anyway; every call is raced with `within` instead.
 * - `disableOfflineQueue`: while Redis is away calls fail at once, and the protocol's own retry decides.
 * - our own `reconnectStrategy`: the default closes the client for good after a socket timeout.
 * - `disableClientInfo`, `maintNotifications`: CLIENT SETINFO and MAINT_NOTIFICATIONS are unknown to Redis 7.0.
 */
export function createConnection({ url, name, log }: ConnectOptions) {
  const client = createClient({
    url,
    name,
    RESP: 3,
    maintNotifications: 'disabled',
    disableClientInfo: true,
    disableOfflineQueue: true,
    commandOptions: noTimeout,
    pingInterval: limits.pingIntervalMs,
    socket: {
      connectTimeout: 1_000,
      socketTimeout: limits.socketTimeoutMs,
      keepAliveInitialDelay: 5_000,
      reconnectStrategy: retries => Math.min(20 * 2 ** Math.min(retries, 6), 500) + Math.random() * 50
    }
  })

  let away = false
  client.on('error', (error: Error) => {
    // One line for an outage, not one for each attempt to reconnect.
    if (!away)
      log.warn({ event: 'redis-away', connection: name, reason: reasonOf(error) }, 'Redis is away, reconnecting')
    away = true
  })
  client.on('ready', () => {
    if (away) log.info({ event: 'redis-back', connection: name }, 'Redis is back')
    away = false
  })
  return client
}

export type Connection = ReturnType<typeof createConnection>

/** The same connection with bulk strings as Buffers, for images. */
export function binary(connection: Connection) {
  return connection.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer })
}

export class TimeoutError extends Error {
  readonly code = 'TIMEOUT'
}

/** Gives up waiting after `ms` with a TimeoutError that names `what`. node-redis has no reply timeout: a hung Redis hangs the caller for ever. */
export function within<T>(ms: number, what: string, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new TimeoutError(`${what}: no answer from Redis within ${ms} ms`)), ms)
    promise.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}

export interface ScriptCall {
  keys: string[]
  args: Array<string | Buffer>
}

/** Runs a script by its digest, loading it first where Redis lost it (a restart, SCRIPT FLUSH). Roles need no EVAL for it. */
export async function run(connection: Connection, script: Script, { keys, args }: ScriptCall): Promise<unknown> {
  const call = () =>
    within(limits.commandTimeoutMs, script.name, connection.evalSha(script.sha, { keys, arguments: args }))
  try {
    return await call()
  } catch (error) {
    if (!isReply(error, 'NOSCRIPT')) throw error
    await within(limits.commandTimeoutMs, 'SCRIPT LOAD', connection.scriptLoad(script.text))
    return await call()
  }
}

export type ReplyError = 'NOSCRIPT' | 'NOGROUP' | 'BUSYGROUP' | 'OOM' | 'UNBLOCKED'

/** Redis says what went wrong in the first word of its message; there is no code. */
export function isReply(error: unknown, kind: ReplyError): boolean {
  return error instanceof Error && error.message.startsWith(kind)
}

/** True if Redis refused a write for want of memory, directly or within a script. */
export function isOutOfMemory(error: unknown): boolean {
  return error instanceof Error && /^OOM |OOM command not allowed/.test(error.message)
}

function reasonOf(error: Error): string {
  const first = error instanceof AggregateError ? (error.errors[0] as Error) : error
  return first.message || error.name
}

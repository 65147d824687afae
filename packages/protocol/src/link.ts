import { createClient, ErrorReply, RESP_TYPES } from 'redis'
import { limits } from './limits.ts'
import { AwayError } from './reply-errors.ts'
import type { Throughput } from './throughput.ts'

export interface LinkOptions {
  /** redis://, rediss:// or unix:// */
  url: string
  /** CLIENT SETNAME: what an operator sees in CLIENT LIST. */
  name: string
  /** The socket is watched for bytes instead of replies: for a connection that waits for images, one command at a time. */
  bringsImages?: boolean
  /** Told what the socket carries; outlives it. */
  uploads: Throughput
}

/** What a command needs besides its words. */
export interface Sending {
  /** Bytes of the image that travels with it. */
  bytes?: number
  /** Milliseconds for which Redis was asked to wait before it replies. */
  blockMs?: number
}

interface Outstanding {
  what: string
  sentAtMs: number
  bytes: number
  blockMs: number
  /** Rejects it: the socket has ended. */
  fail: (error: AwayError) => void
}

/** node-redis documents `undefined` as "no timeout", its types do not allow it. */
const noTimeout: object = { timeout: undefined }

/** How often the oldest outstanding reply is looked at. */
const watchMs = 100

/**
 * One socket to Redis, from its handshake to its end; it never comes back. Settings that node-redis needs to survive faults:
 * - `timeout: undefined`: the default makes an AbortSignal a command, which costs 4 to 5 times the CPU and does not
 *   cover the wait for a reply anyway.
 * - `reconnectStrategy: false`, no `pingInterval`: who decides that Redis is away is this file. node-redis would emit an
 *   error *reply* to its ping as an `error` of the connection, and Node renews a socket's timeout at every write.
 * - `disableClientInfo`, `maintNotifications`: CLIENT SETINFO and MAINT_NOTIFICATIONS are unknown to Redis 7.0.
 */
function createNodeRedis({ url, name, bringsImages = false }: Omit<LinkOptions, 'uploads'>) {
  return createClient({
    url,
    name,
    RESP: 3,
    maintNotifications: 'disabled',
    disableClientInfo: true,
    disableOfflineQueue: true,
    commandOptions: noTimeout,
    socket: {
      connectTimeout: limits.connectTimeoutMs,
      keepAliveInitialDelay: 5_000,
      reconnectStrategy: false,
      // Nothing is written while a read is outstanding, so Node's idle timer tells a slow link from a dead one.
      ...(bringsImages ? { socketTimeout: limits.blockMs + limits.replyOverdueMs } : {})
    }
  })
}

export type NodeRedis = ReturnType<typeof createNodeRedis>

/** The same client with bulk strings as Buffers, for images. */
export function binary(client: NodeRedis) {
  return client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer })
}

/**
 * Opens a socket. Rejects if that fails within `limits.replyOverdueMs`; otherwise `ended` is called once, when it ends.
 *
 * Redis replies in order, so one timer is enough: if the oldest outstanding reply is overdue and none came meanwhile, the
 * socket is dead, however well writing to it still goes. Any reply is a sign of life, an error too. An image
 * gets the time that its bytes need on top, for what the kernel holds of them can't be seen.
 */
export async function openLink(options: LinkOptions, ended: (error: Error) => void) {
  const client = createNodeRedis(options)
  const { uploads } = options
  const outstanding = new Set<Outstanding>()
  let open = false
  let endedBy: AwayError | undefined
  let idleSinceMs = performance.now()
  let heardAtMs = performance.now()
  let uploadedAtMs = 0
  client.on('error', close)

  await handshake()
  open = true
  heardAtMs = idleSinceMs = performance.now()
  const timer = setInterval(watch, watchMs)

  return { send, silentMs, close, isOpen: () => open }

  async function handshake(): Promise<void> {
    const timer = setTimeout(
      () => client.destroy(),
      // The TCP connection is there or was given up by then: destroyed before, node-redis would keep the new socket.
      limits.connectTimeoutMs + limits.replyOverdueMs
    )
    try {
      await client.connect()
    } finally {
      clearTimeout(timer)
    }
  }

  /** Sends a command. Rejects with Redis' error reply, or with an AwayError once the socket ended. */
  async function send<T>(what: string, call: (client: NodeRedis) => Promise<T>, sending: Sending = {}): Promise<T> {
    if (endedBy !== undefined) throw endedBy
    const { bytes = 0, blockMs = 0 } = sending
    const command: Outstanding = { what, sentAtMs: performance.now(), bytes, blockMs, fail: () => {} }
    outstanding.add(command)
    try {
      // A race against one promise for the end of the socket would keep every reply, images too, for as long as that is open.
      return await new Promise<T>((resolve, reject) => {
        command.fail = reject
        call(client).then(resolve, reject)
      })
    } catch (error) {
      // Whatever node-redis calls the end of a socket.
      if (error instanceof AwayError || error instanceof ErrorReply || client.isReady) throw error
      throw new AwayError(reasonOf(error), { cause: error })
    } finally {
      outstanding.delete(command)
      if (open) heard(command)
    }
  }

  function heard({ bytes, sentAtMs }: Outstanding): void {
    const nowMs = performance.now()
    heardAtMs = idleSinceMs = nowMs
    if (bytes === 0) return
    uploads.add(bytes, nowMs - Math.max(sentAtMs, uploadedAtMs))
    uploadedAtMs = nowMs
  }

  /** Milliseconds by which the next reply is late; 0 if nothing is awaited, or not yet. */
  function silentMs(): number {
    const [oldest] = outstanding
    if (oldest === undefined || options.bringsImages === true) return 0
    let bytes = 0
    for (const command of outstanding) bytes += command.bytes
    const rate = Math.max(uploads.bytesPerSecond() ?? 0, limits.slowLinkBytesPerSecond)
    const allowedMs = oldest.blockMs + (2_000 * bytes) / rate
    return Math.max(0, performance.now() - Math.max(oldest.sentAtMs, heardAtMs) - allowedMs)
  }

  function watch(): void {
    const [oldest] = outstanding
    if (silentMs() > limits.replyOverdueMs)
      close(new AwayError(`no reply to ${oldest?.what ?? 'a command'} within ${limits.replyOverdueMs} ms`))
    else if (oldest === undefined && performance.now() - idleSinceMs >= limits.pingIntervalMs) {
      // Any reply will do, BUSY for one; and the end of the socket is told to `ended`.
      void send('PING', client => client.ping()).catch(() => {})
    }
  }

  function close(error: Error): void {
    if (!open) return
    open = false
    clearInterval(timer)
    endedBy = error instanceof AwayError ? error : new AwayError(reasonOf(error), { cause: error })
    for (const { fail } of outstanding) fail(endedBy)
    client.destroy()
    ended(error)
  }
}

export type Link = Awaited<ReturnType<typeof openLink>>

export function reasonOf(error: unknown): string {
  const first: unknown = error instanceof AggregateError ? error.errors[0] : error
  return first instanceof Error ? first.message || first.name : String(first)
}

import { setTimeout as sleep } from 'node:timers/promises'
import { createCommands, type Commands } from './commands.ts'
import { openLink, reasonOf, type Link, type NodeRedis, type Sending } from './link.ts'
import { limits } from './limits.ts'
import type { Log } from './log.ts'
import type { Script } from './scripts.ts'
import { AwayError, isPassing } from './reply-errors.ts'
import { createSubscriptions, type MessageListener } from './subscriptions.ts'
import { createThroughput } from './throughput.ts'

export interface ConnectOptions {
  /** redis://, rediss:// or unix:// */
  url: string
  /** CLIENT SETNAME: what an operator sees in CLIENT LIST. */
  name: string
  log: Log
  /** For a connection that waits for images: its commands are sent one at a time, and it takes whatever time their bytes need. */
  bringsImages?: boolean
  /** Scripts that Redis must know before the first call: one that carries an image would have to be sent twice. */
  preload?: readonly Script[]
}

/**
 * All that this project says to Redis, and whether Redis is there. Every command settles: with a reply, with Redis'
 * error reply, or with an AwayError once its socket ended, which a reply that is overdue by `limits.replyOverdueMs` brings
 * about. While there is no socket commands fail at once, and the protocol's own retry decides.
 */
export interface Connection extends Commands {
  /** Connects, and again whenever the connection ends, until `destroy`. Resolves the first time that it is up. */
  connect: () => Promise<void>
  destroy: () => void
  isConnected: () => boolean
  /** Milliseconds for which Redis has not been there: since the socket ended or since a late reply is awaited; 0 if it is. */
  awayMs: () => number
  /** Why it is away, or was the last time. */
  awayReason: () => string
  /** Calls `listener` whenever the connection is up, the first time too. Messages and replies may have been missed. */
  onBack: (listener: () => void) => void
  /** Bytes a second that images took lately on their way to Redis; undefined if there were none. */
  uploadBytesPerSecond: () => number | undefined
  /** Channels listened to, those still to be left included. */
  channelCount: () => number
  /** Resolves once Redis acknowledged. Rejects if it refuses or is away; then the channel is not listened to. */
  subscribe: (channel: string, listener: MessageListener) => Promise<void>
  unsubscribe: (channel: string) => Promise<void>
}

/** Between two attempts to connect: 20 ms at first, half a second at last. */
function backoffMs(attempt: number): number {
  return Math.min(20 * 2 ** Math.min(attempt, 6), 500) + Math.random() * 50
}

/** The one way to Redis, and the one owner of the question whether it is there. */
export function createConnection(options: ConnectOptions): Connection {
  const { name, log } = options
  const uploads = createThroughput()
  const subscriptions = createSubscriptions(() => link)
  const listeners: Array<() => void> = []
  let link: Link | undefined
  /** A socket that is there and not yet in use. */
  let preparing: Link | undefined
  let awaySinceMs = performance.now()
  let awayReason = 'not connected yet'
  let reported = false
  let destroyed = false
  let connecting: Promise<void> | undefined

  return {
    ...createCommands(send),
    connect: () => (connecting ??= reconnect()),
    destroy,
    isConnected: () => link !== undefined,
    awayMs,
    awayReason: () => awayReason,
    onBack: listener => void listeners.push(listener),
    uploadBytesPerSecond: uploads.bytesPerSecond,
    channelCount: () => subscriptions.size,
    subscribe: subscriptions.subscribe,
    unsubscribe: subscriptions.unsubscribe
  }

  async function send<T>(what: string, call: (client: NodeRedis) => Promise<T>, sending?: Sending): Promise<T> {
    if (link === undefined) throw new AwayError(`${what}: Redis is away: ${awayReason}`)
    return await link.send(what, call, sending)
  }

  function awayMs(): number {
    if (link === undefined) return Math.max(1, performance.now() - awaySinceMs)
    const silentMs = link.silentMs()
    return silentMs > limits.replyLateMs ? silentMs : 0
  }

  async function reconnect(): Promise<void> {
    for (let attempt = 0; !destroyed; attempt++) {
      try {
        return await open()
      } catch (error) {
        reportAway(error)
      }
      await sleep(backoffMs(attempt))
    }
    throw new AwayError('the connection was closed')
  }

  async function open(): Promise<void> {
    const opened = await openLink({ ...options, uploads }, cause => {
      // A socket that ends before it is in use fails the step that waits for it, and so this attempt: tried again once.
      if (link === opened) lost(cause)
    })
    if (destroyed) return opened.close(new AwayError('the connection was closed'))
    preparing = opened
    try {
      const restored = await prepare(opened)
      if (!opened.isOpen()) throw new AwayError('the connection ended')
      link = opened
      announce(opened, restored)
    } finally {
      preparing = undefined
    }
  }

  /** What a new socket needs before others use it. Resolves to whether its channels are subscribed to. */
  async function prepare(opened: Link): Promise<boolean> {
    for (const { text } of options.preload ?? [])
      await tolerate('load scripts', () => opened.send('SCRIPT LOAD', client => client.scriptLoad(text)))
    return await tolerate('subscribe', () => subscriptions.restore(opened))
  }

  function announce(opened: Link, restored: boolean): void {
    // Fails only where the socket ended, and the channels with it.
    tolerate('unsubscribe', subscriptions.leaveUnwanted).catch(() => {})
    if (reported) log.info({ event: 'redis-back', connection: name }, 'Redis is back')
    reported = false
    for (const listener of listeners) listener()
    if (!restored) void restoreLater(opened)
  }

  /** That Redis refuses a part, SUBSCRIBE during a slow script say, is no reason to do without the rest. True if it went through. */
  async function tolerate(what: string, step: () => Promise<unknown>): Promise<boolean> {
    try {
      await step()
      return true
    } catch (error) {
      if (error instanceof AwayError) throw error
      log.warn({ event: 'redis-refused', connection: name, err: error }, `Redis refused to ${what}`)
      return false
    }
  }

  async function restoreLater(opened: Link): Promise<void> {
    for (await sleep(limits.checkIntervalMs); link === opened; await sleep(limits.checkIntervalMs)) {
      try {
        await subscriptions.restore(opened)
        tolerate('unsubscribe', subscriptions.leaveUnwanted).catch(() => {})
        for (const listener of listeners) listener()
        return
      } catch (error) {
        if (!isPassing(error))
          return log.error({ event: 'redis-refused', connection: name, err: error }, 'Redis refused to subscribe')
      }
    }
  }

  function lost(cause: Error): void {
    link = undefined
    awaySinceMs = performance.now()
    if (destroyed) return
    reportAway(cause)
    // Only `destroy` ends it, and that is no news.
    reconnect().catch(() => {})
  }

  function reportAway(error: unknown): void {
    awayReason = reasonOf(error)
    // One line for an outage, not one for each attempt to reconnect.
    if (!reported && !destroyed)
      log.warn({ event: 'redis-away', connection: name, reason: awayReason }, 'Redis is away, reconnecting')
    reported = true
  }

  function destroy(): void {
    destroyed = true
    awayReason = 'the connection was closed'
    for (const socket of [preparing, link]) socket?.close(new AwayError(awayReason))
  }
}

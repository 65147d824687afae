import { setTimeout as sleep } from 'node:timers/promises'
import type { Link } from './link.ts'
import { AwayError, isPassing } from './reply-errors.ts'

export type MessageListener = (message: string) => void

/** SUBSCRIBE is refused with BUSY while a slow script runs; tried again after this. */
const retryMs = 250

/**
 * The pub/sub channels of a connection, over all its sockets. Which channels are wanted stands here alone: a new socket
 * subscribes to these and no others, so an UNSUBSCRIBE that was lost with its socket is as good as done.
 */
export function createSubscriptions(current: () => Link | undefined) {
  const listeners = new Map<string, MessageListener>()
  const leaving = new Map<string, Promise<void>>()
  let restored: string[] = []

  return {
    /** Channels listened to, those still to be left included. */
    get size(): number {
      return listeners.size + leaving.size
    },

    /** Resolves once Redis acknowledged. Rejects if it refuses or is away; then the channel is not listened to. */
    async subscribe(channel: string, listener: MessageListener): Promise<void> {
      listeners.set(channel, listener)
      try {
        // node-redis sends no SUBSCRIBE for a channel that it has not left yet.
        await leaving.get(channel)
        const link = current()
        if (link === undefined) throw new AwayError('not connected')
        await link.send('SUBSCRIBE', client => client.subscribe(channel, dispatch))
      } catch (error) {
        if (listeners.get(channel) === listener) listeners.delete(channel)
        throw error
      }
      // Left before Redis acknowledged.
      if (!listeners.has(channel)) await leave(channel)
    },

    /** Resolves once the channel is gone, were it with its socket. Rejects if Redis refuses for good. */
    async unsubscribe(channel: string): Promise<void> {
      listeners.delete(channel)
      await leave(channel)
    },

    /** Makes a new socket hear what the one before heard. Rejects if it ends meanwhile or Redis refuses. */
    async restore(link: Link): Promise<void> {
      restored = [...listeners.keys()]
      if (restored.length > 0) await link.send('SUBSCRIBE', client => client.subscribe(restored, dispatch))
    },

    /** Leaves what nobody wanted any more while it was restored. To be called once `current` is the restored socket: until then nobody could leave. */
    async leaveUnwanted(): Promise<void> {
      const unwanted = restored.filter(channel => !listeners.has(channel))
      restored = []
      await Promise.all(unwanted.map(channel => leave(channel)))
    }
  }

  function dispatch(message: string, channel: string): void {
    listeners.get(channel)?.(message)
  }

  async function leave(channel: string): Promise<void> {
    const link = current()
    if (link === undefined) return
    const left = leaving.get(channel) ?? untilLeft(channel, link).finally(() => leaving.delete(channel))
    leaving.set(channel, left)
    await left
  }

  async function untilLeft(channel: string, link: Link): Promise<void> {
    for (;;) {
      try {
        return await link.send('UNSUBSCRIBE', client => client.unsubscribe(channel))
      } catch (error) {
        // Gone with its socket.
        if (error instanceof AwayError) return
        if (!isPassing(error)) throw error
      }
      await sleep(retryMs)
    }
  }
}

export type Subscriptions = ReturnType<typeof createSubscriptions>

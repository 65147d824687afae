import { within, type Connection, type Log } from './client.ts'
import { limits } from './limits.ts'
import { decodeOutcome, type Outcome } from './messages.ts'

/**
 * The channels that this gateway listens on, one for each open request. `open` resolves once Redis acknowledged, so that
 * the listener is there before the job can be.
 *
 * `close` never fails: an UNSUBSCRIBE that Redis did not acknowledge would be forgotten by us and repeated as SUBSCRIBE by
 * node-redis at every reconnect, so it is kept and swept until it went through.
 */
export function createReplyChannels({ subscriber, log }: { subscriber: Connection; log: Log }) {
  const open = new Set<string>()
  const stray = new Set<string>()

  return {
    /** Channels listened to, those still to be closed included. */
    get size(): number {
      return open.size + stray.size
    },

    async open(channel: string, listener: (outcome: Outcome) => void): Promise<void> {
      open.add(channel)
      const isStray = stray.delete(channel)
      try {
        // Until the UNSUBSCRIBE went through, node-redis thinks it has the channel and sends no SUBSCRIBE: the listener
        // would go with the old one.
        if (isStray) await within(limits.commandTimeoutMs, 'UNSUBSCRIBE', subscriber.unsubscribe(channel))
        await within(
          limits.commandTimeoutMs,
          'SUBSCRIBE',
          subscriber.subscribe(channel, message => deliver(message, listener))
        )
      } catch (error) {
        // The SUBSCRIBE may have gone through.
        await this.close(channel)
        throw error
      }
      // Closed meanwhile, and before the SUBSCRIBE was sent.
      if (!open.has(channel)) await this.close(channel)
    },

    async close(channel: string): Promise<void> {
      open.delete(channel)
      stray.add(channel)
      await unsubscribe(channel)
    },

    /** Tries again what `close` could not do. */
    async sweep(): Promise<void> {
      if (subscriber.isReady) await Promise.all([...stray].map(unsubscribe))
    }
  }

  async function unsubscribe(channel: string): Promise<void> {
    try {
      await within(limits.commandTimeoutMs, 'UNSUBSCRIBE', subscriber.unsubscribe(channel))
      stray.delete(channel)
    } catch {
      // Stays in `stray`; the next sweep tries again.
    }
  }

  function deliver(message: string, listener: (outcome: Outcome) => void): void {
    try {
      listener(decodeOutcome(message))
    } catch (error) {
      log.error(
        { event: 'unreadable-outcome', reason: String(error) },
        'Dropped a reply that is no outcome of this version'
      )
    }
  }
}

export type ReplyChannels = ReturnType<typeof createReplyChannels>

import type { Connection } from './connection.ts'
import type { Log } from './log.ts'
import { decodeOutcome, type Answer } from './messages.ts'

/**
 * The channels that this gateway listens on, one for each open job. `listen` resolves once Redis acknowledged, so that the
 * listener is there before the job can be.
 */
export function createReplyChannels({ subscriber, log }: { subscriber: Connection; log: Log }) {
  let refusing = false

  return {
    /** Channels listened to, those still to be left included. */
    get size(): number {
      return subscriber.channelCount()
    },

    /** Rejects if Redis is away or refuses; then nothing is listened to. */
    listen: (channel: string, listener: (answer: Answer) => void): Promise<void> =>
      subscriber.subscribe(channel, message => deliver(message, listener)),

    /** Never fails. */
    async leave(channel: string): Promise<void> {
      try {
        await subscriber.unsubscribe(channel)
        refusing = false
      } catch (error) {
        // One line for as long as it lasts.
        if (!refusing) log.error({ event: 'unsubscribe-refused', err: error }, 'Redis refused UNSUBSCRIBE')
        refusing = true
      }
    }
  }

  function deliver(message: string, listener: (answer: Answer) => void): void {
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

import type { IncomingMessage } from 'node:http'
import { finished } from 'node:stream/promises'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { fastifyPlugin } from 'fastify-plugin'
import type { Gateway } from '../gateway.ts'
import { destroyOnceFlushed } from './connection-errors.ts'

/** How long a refused client may go on sending before its connection is closed all the same. */
const drainMs = 10_000

/** Lets refused clients finish sending, so that they see the answer. */
export const draining = fastifyPlugin(
  async (app: FastifyInstance, { exchanges, shutdown }: Pick<Gateway, 'exchanges' | 'shutdown'>) => {
    app.addHook('onSend', async (request, reply) => {
      if (reply.failure !== undefined && !request.raw.complete) {
        if (exchanges.of(request.raw).broken.aborted) endConnection(request.raw, reply)
        else await letFinish(request.raw, reply)
      }
    })

    /** The rest of the body is not waited for. */
    function endConnection({ socket }: IncomingMessage, reply: FastifyReply): void {
      reply.header('connection', 'close')
      reply.raw.once('finish', () => destroyOnceFlushed(socket))
    }

    /**
     * Throws away what a refused client is still sending. A connection that is closed on it would be reset, and the client
     * would see that instead of the answer: one that is to be closed is drained first, any other stays open meanwhile.
     */
    async function letFinish(body: IncomingMessage, reply: FastifyReply): Promise<void> {
      body.unpipe().resume()
      reply.removeHeader('connection')
      const drained = finished(body, { signal: AbortSignal.timeout(drainMs), cleanup: true })
      if (shutdown.isLeaving() || !reply.raw.shouldKeepAlive) await drained.catch(() => {})
      else drained.catch(() => body.socket.destroy())
    }
  }
)

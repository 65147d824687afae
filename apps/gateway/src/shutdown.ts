import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { fastifyPlugin } from 'fastify-plugin'
import { ApiError, errorBody } from './errors.ts'
import type { Exchanges } from './http/exchanges.ts'
import type { Admission } from './requests/admission.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** To be called before `close` where a balancer may stand in front: readiness turns red, and everything is still answered. */
    leave: () => Promise<void>
  }
}

/** How long a client may go on sending its request once new ones are refused. What was received by then is answered. */
const halfSentMs = 3_000
/** How often half-sent requests are looked for after that. */
const cutEveryMs = 250

/**
 * The stages of a gateway's end, each of which a client or a balancer can see: `serving`; `leaving`, with readiness red while everything
 * is still answered, so that a balancer has time to send requests elsewhere; `refusing`, while what is open gets its answer.
 */
export function createShutdown({ delayMs }: { delayMs: number }) {
  let stage: 'serving' | 'leaving' | 'refusing' = 'serving'

  return {
    /** Whether readiness is red for this reason, and connections are not kept. */
    isLeaving: (): boolean => stage !== 'serving',
    /** Whether new requests are refused. */
    isRefusing: (): boolean => stage === 'refusing',

    /** Turns readiness red and resolves once every balancer may be expected to have seen it. */
    async leave(): Promise<void> {
      if (stage === 'serving') stage = 'leaving'
      await sleep(delayMs)
    },

    refuse(): void {
      stage = 'refusing'
    }
  }
}

export type Shutdown = ReturnType<typeof createShutdown>

interface Stoppable {
  shutdown: Shutdown
  admission: Pick<Admission, 'untilEmpty'>
  exchanges: Pick<Exchanges, 'of'>
}

/**
 * Lets `app.close()` end without an error for anybody who has sent a whole request, and without waiting for anybody who has not. The
 * server still listens until all that was admitted is answered, so that what arrives then is told to go elsewhere.
 */
export const shutdownHooks = fastifyPlugin(
  async (app: FastifyInstance, { shutdown, admission, exchanges }: Stoppable) => {
    const sockets = new Set<Socket>()
    const open = new Map<FastifyReply, FastifyRequest>()
    let cutting: NodeJS.Timeout | undefined

    app.decorate('leave', shutdown.leave)
    app.server.on('connection', socket => {
      sockets.add(socket)
      socket.once('close', () => sockets.delete(socket))
    })
    app.addHook('onRequest', async (request, reply) => {
      open.set(reply, request)
      exchanges.of(request.raw).whenOver(() => open.delete(reply))
    })
    app.addHook('onSend', async (_request, reply) => {
      // The next request on this connection would come when nobody listens any more.
      if (shutdown.isLeaving()) reply.header('connection', 'close')
    })
    app.addHook('preClose', async () => {
      shutdown.refuse()
      cutting = setTimeout(function cut() {
        for (const socket of sockets) if (!isWaiting(socket)) end(socket)
        cutting = setTimeout(cut, cutEveryMs)
      }, halfSentMs)
      await admission.untilEmpty()
    })
    app.addHook('onClose', async () => clearTimeout(cutting))

    /** Whether a request that came whole on this connection has not been answered to its end. */
    function isWaiting(socket: Socket): boolean {
      return [...open.values()].some(({ raw }) => raw.socket === socket && raw.complete)
    }

    /** A request of which the rest did not come is refused in so many words, unless it is being answered already. */
    function end(socket: Socket): void {
      const [reply, request] = [...open].find(([, { raw }]) => raw.socket === socket) ?? []
      if (request === undefined || reply?.raw.headersSent || !socket.writable) return void socket.destroy()
      socket.end(refusal(request), () => socket.destroy())
    }
  }
)

function refusal({ id }: FastifyRequest): string {
  const error = new ApiError('SHUTTING_DOWN')
  const body = JSON.stringify(errorBody(error, id))
  const head = [
    `HTTP/1.1 ${error.statusCode} Service Unavailable`,
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    `X-Request-Id: ${id}`,
    'Connection: close'
  ]
  return `${head.join('\r\n')}\r\n\r\n${body}`
}

import type { Socket } from 'node:net'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { ApiError } from '../errors.ts'

/** One request and its answer, from its headers until it is over, whichever way it ends. */
export interface Exchange {
  request: FastifyRequest
  reply: FastifyReply
  /** Aborts with an ApiError when the body can't or may not be received any further. */
  broken: AbortSignal
  fail: (error: ApiError) => void
  /** Calls `task` once, when the answer is sent or can't be sent any more; at once if that is so already. */
  whenOver: (task: () => void) => void
}

/**
 * Requests that may be open on one connection. Nobody pipelines as many but to fill our memory: 64 KB hold 1,500, and
 * Node reads all of them at once.
 */
const maxInLine = 100

interface Connection {
  socket: Socket
  open: Set<Exchange & { end: () => void }>
  /** See `latestOn`. Not kept for longer, as it holds an image. */
  latest: Exchange | undefined
  idleSinceMs: number
}

/**
 * What is going on on each connection. The end of an exchange is found by its answer's end or its socket's, whichever comes
 * first: an answer that was still in line behind others on its connection is never closed by Node.
 */
export function createExchanges({ maxConnections }: { maxConnections: number }) {
  const connections = new Map<Socket, Connection>()
  const exchanges = new WeakMap<FastifyRequest['raw'], Exchange>()

  return {
    get connections(): number {
      return connections.size
    },

    /** Takes a new connection in. Where there are too many, one goes that has nothing open: of the address with most of them the oldest. */
    connect(socket: Socket): void {
      if (connections.size >= maxConnections) (longestIdle() ?? socket).destroy()
      if (!socket.destroyed) connectionOf(socket)
    },

    begin(request: FastifyRequest, reply: FastifyReply): Exchange {
      const known = exchanges.get(request.raw)
      if (known) return known
      const connection = connectionOf(request.raw.socket)
      const controller = new AbortController()
      const tasks: Array<() => void> = []
      let over = false
      const exchange = {
        request,
        reply,
        broken: controller.signal,
        fail: (error: ApiError) => controller.abort(error),
        whenOver(task: () => void) {
          if (over) task()
          else tasks.push(task)
        },
        end() {
          if (over) return
          over = true
          connection.open.delete(exchange)
          if (connection.latest === exchange && request.raw.complete) connection.latest = undefined
          connection.idleSinceMs = performance.now()
          runAll(tasks)
        }
      }
      connection.open.add(exchange)
      connection.latest = exchange
      exchanges.set(request.raw, exchange)
      reply.raw.once('close', exchange.end)
      if (connection.open.size > maxInLine) connection.socket.destroy()
      // Requests that were in line on a connection still come when it is closed already; nobody would say that they are over.
      if (connection.socket.destroyed) exchange.end()
      return exchange
    },

    /** The exchange of a request. */
    of(request: FastifyRequest['raw']): Exchange {
      const exchange = exchanges.get(request)
      if (exchange === undefined) throw new Error('a request whose exchange never began')
      return exchange
    },

    /** The latest exchange of a connection that is not over, or whose body still comes although it was answered. */
    latestOn: (socket: Socket): Exchange | undefined => connections.get(socket)?.latest
  }

  function connectionOf(socket: Socket): Connection {
    const known = connections.get(socket)
    if (known) return known
    const connection: Connection = { socket, open: new Set(), latest: undefined, idleSinceMs: performance.now() }
    if (socket.destroyed) return connection
    connections.set(socket, connection)
    // Node forgets the address of a closed socket unless somebody asked before.
    void socket.remoteAddress
    socket.once('close', () => {
      connections.delete(socket)
      runAll([...connection.open].map(exchange => exchange.end))
    })
    return connection
  }

  function longestIdle(): Socket | undefined {
    const byAddress = new Map<string | undefined, Connection[]>()
    for (const connection of connections.values()) {
      if (connection.open.size > 0) continue
      const { remoteAddress } = connection.socket
      const same = byAddress.get(remoteAddress)
      if (same) same.push(connection)
      else byAddress.set(remoteAddress, [connection])
    }
    const crowd = [...byAddress.values()].reduce((most, next) => (next.length > most.length ? next : most), [])
    return crowd.toSorted((a, b) => a.idleSinceMs - b.idleSinceMs)[0]?.socket
  }
}

/** Each of them, also where one before it throws: a place must be given back whatever the log thinks of it. */
function runAll([task, ...others]: Array<() => void>): void {
  if (task === undefined) return
  try {
    task()
  } finally {
    runAll(others)
  }
}

export type Exchanges = ReturnType<typeof createExchanges>

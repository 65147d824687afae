import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { createConversation, type Request } from './conversation.ts'
import { createLink, type Link } from './link.ts'
import { errorReply } from './resp.ts'

export type Direction = 'toServer' | 'toClient'

/** What a connection is for, by what has been said on it. `control` is what neither subscribes nor uploads. */
export type Role = 'subscriber' | 'uploads' | 'control'

interface Pair {
  client: Socket
  server: Socket
  /** The first request, which says the connection's name: HELLO 3 SETNAME <name>. */
  name: string
  /** It has subscribed to, or uploaded, something. */
  subscribes: boolean
  uploads: boolean
  /** A direction that nothing passes any more on this connection. */
  deaf: Direction | undefined
}

/** Errors that Redis answers with while it is there, by the first word, which is their code. */
export const redisErrors = {
  BUSY: 'BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.',
  LOADING: 'LOADING Redis is loading the dataset in memory',
  MISCONF: 'MISCONF Redis is configured to save RDB snapshots, but it is currently unable to persist to disk.',
  OOM: "OOM command not allowed when used memory > 'maxmemory'.",
  NOPERM: 'NOPERM this user has no permissions to run this command',
  MASTERDOWN: "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."
} as const

/** Bytes that one connection may have on a slow link: what the kernel gives Node at once. */
const windowBytes = 64 * 1024

/**
 * A proxy in front of Redis that breaks what passes through it. Rules hold for the connections that are open and those
 * to come, until `heal`; only `halfOpen` is about those that are open.
 */
export async function startProxy(targetPort: number) {
  const pairs = new Set<Pair>()
  const counts = { uploads: 0, commands: new Map<string, number>(), bytes: { toServer: 0, toClient: 0 } }
  let swallowed: { direction: Direction; name: string } | undefined
  let cutAfter: { direction: Direction; name: string; bytes: number } | undefined
  let errors: { reply: Buffer; commands: readonly string[] | undefined; name: string } | undefined
  let links: Partial<Record<Direction, Link>> = {}
  let delayMs = 0
  const listener = createServer(accept).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const address = listener.address()
  if (address === null || typeof address === 'string') throw new Error('no TCP address')

  return {
    url: `redis://127.0.0.1:${address.port}`,
    /** What has come from the clients, and the bytes both ways: since the start. */
    counts,

    /** Takes the bytes of one direction and passes on none: a black hole. Of the connections whose name contains `name`. */
    swallow(direction: Direction, name = ''): void {
      swallowed = { direction, name }
    },

    /**
     * The same for the open connections of a role, while new ones work: the other end was lost without a word. Where no connection
     * is for control alone, it is those that upload. Returns how many there were.
     */
    halfOpen(direction: Direction, role: Role): number {
      const open = [...pairs]
      const chosen = open.filter(pair => roleOf(pair) === role)
      const deaf = chosen.length === 0 && role === 'control' ? open.filter(({ uploads }) => uploads) : chosen
      for (const pair of deaf) pair.deaf = direction
      return deaf.length
    },

    /** Connections that `halfOpen` broke and nobody has given up yet. */
    broken: (): number => [...pairs].filter(({ deaf }) => deaf !== undefined).length,

    /** Passes `bytes` more in one direction, then resets that connection. Happens once. */
    cut({ direction, bytes, name = '' }: { direction: Direction; bytes: number; name?: string }): void {
      cutAfter = { direction, name, bytes }
    },

    /** Answers with an error in Redis' place, which then never sees the command. Every command where none is named. */
    answer({ error, commands, name = '' }: { error: string; commands?: readonly string[]; name?: string }): void {
      errors = { reply: errorReply(error), commands, name }
    },

    /** Lets through so many bytes a second, all connections together. */
    throttle(bytesPerSecond: Partial<Record<Direction, number>>): void {
      links = Object.fromEntries(
        Object.entries(bytesPerSecond).map(([direction, rate]) => [direction, createLink(rate)])
      )
    },

    /** Holds back everything for so long, both ways. */
    delay(ms: number): void {
      delayMs = ms
    },

    reset,

    /** Passes everything again. Bytes that were swallowed are lost, so their connections are reset. */
    heal(): void {
      const broken = swallowed !== undefined || [...pairs].some(({ deaf }) => deaf !== undefined)
      swallowed = undefined
      cutAfter = undefined
      errors = undefined
      links = {}
      delayMs = 0
      if (broken) reset()
    },

    async stop(): Promise<void> {
      reset()
      listener.close()
      await once(listener, 'close')
    }
  }

  /** Resets every connection. */
  function reset(): void {
    for (const { client, server } of pairs) {
      client.resetAndDestroy()
      server.destroy()
    }
  }

  function accept(client: Socket): void {
    const server = connect(targetPort, '127.0.0.1')
    const pair: Pair = { client, server, name: '', subscribes: false, uploads: false, deaf: undefined }
    const { fromClient, fromServer } = createConversation({
      toServer: frame => pass(frame, pair, 'toServer'),
      toClient: frame => pass(frame, pair, 'toClient'),
      answerFor: request => note(request, pair)
    })
    pairs.add(pair)
    for (const socket of [client, server]) {
      socket.setNoDelay(true)
      socket.on('error', () => end(pair))
      socket.on('close', () => end(pair))
    }
    client.on('data', travel(client, 'toServer', fromClient))
    server.on('data', travel(server, 'toClient', fromServer))
  }

  /**
   * Takes what a socket sends over the link, in order. The sender waits once as much as `windowBytes` is under way; a command a
   * chunk would give a connection of small ones, which come fast, less of the link than it has.
   */
  function travel(from: Socket, direction: Direction, arrive: (chunk: Buffer) => void): (chunk: Buffer) => void {
    let underWayBytes = 0
    let before = Promise.resolve()
    return chunk => {
      const over = links[direction]?.take(chunk.length)
      counts.bytes[direction] += chunk.length
      underWayBytes += chunk.length
      if (underWayBytes >= windowBytes) from.pause()
      before = arriveAfter(before)

      async function arriveAfter(earlier: Promise<void>): Promise<void> {
        await earlier
        await over
        underWayBytes -= chunk.length
        if (underWayBytes < windowBytes) from.resume()
        arrive(chunk)
      }
    }
  }

  /** Counts a request, and says what to answer it with if not Redis is to. */
  function note(request: Request, pair: Pair): Buffer | undefined {
    const { command, args, isUpload } = request
    if (pair.name === '') pair.name = args.join(' ')
    if (command.endsWith('SUBSCRIBE')) pair.subscribes = true
    if (isUpload) pair.uploads = true
    if (isUpload) counts.uploads++
    counts.commands.set(command, (counts.commands.get(command) ?? 0) + 1)
    if (errors === undefined || !pair.name.includes(errors.name)) return undefined
    return errors.commands === undefined || errors.commands.includes(command) ? errors.reply : undefined
  }

  function pass(frame: Buffer, pair: Pair, direction: Direction): void {
    if (pair.deaf === direction) return
    if (swallowed?.direction === direction && pair.name.includes(swallowed.name)) return
    const to = direction === 'toServer' ? pair.server : pair.client
    if (cutAfter?.direction === direction && pair.name.includes(cutAfter.name)) {
      if (frame.length >= cutAfter.bytes) {
        const rest = frame.subarray(0, cutAfter.bytes)
        cutAfter = undefined
        to.write(rest, () => end(pair))
        return
      }
      cutAfter.bytes -= frame.length
    }
    if (delayMs > 0) setTimeout(() => to.writable && to.write(frame), delayMs)
    else to.write(frame)
  }

  function end(pair: Pair): void {
    pairs.delete(pair)
    pair.client.destroy()
    pair.server.destroy()
  }
}

function roleOf({ subscribes, uploads }: Pair): Role {
  if (subscribes) return 'subscriber'
  return uploads ? 'uploads' : 'control'
}

export type Proxy = Awaited<ReturnType<typeof startProxy>>

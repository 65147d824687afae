import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

interface Pair {
  client: Socket
  server: Socket
  name: string
}

export type Direction = 'toServer' | 'toClient'

/**
 * A TCP proxy in front of Redis that breaks what passes through it. Rules hold for the connections that are open and those
 * to come, until `heal`.
 */
export async function startProxy(targetPort: number) {
  const pairs = new Set<Pair>()
  let swallowed: { direction: Direction; name: string } | undefined
  let cutAfter: { direction: Direction; name: string; bytes: number } | undefined
  let delayMs = 0
  const listener = createServer(accept).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const address = listener.address()
  if (address === null || typeof address === 'string') throw new Error('no TCP address')

  return {
    url: `redis://127.0.0.1:${address.port}`,

    /** Takes the bytes of one direction and passes on none: a black hole. Of the connections whose name contains `name`. */
    swallow(direction: Direction, name = ''): void {
      swallowed = { direction, name }
    },

    /** Passes `bytes` more in one direction, then resets that connection. Happens once. */
    cut({ direction, bytes, name = '' }: { direction: Direction; bytes: number; name?: string }): void {
      cutAfter = { direction, name, bytes }
    },

    /** Holds back every chunk, both ways. */
    delay(ms: number): void {
      delayMs = ms
    },

    /** Resets every connection. */
    reset(): void {
      for (const { client, server } of pairs) {
        client.resetAndDestroy()
        server.destroy()
      }
    },

    /** Passes everything again. Bytes that were swallowed are lost, so their connections are reset. */
    heal(): void {
      const broken = swallowed !== undefined
      swallowed = undefined
      cutAfter = undefined
      delayMs = 0
      if (broken) this.reset()
    },

    async stop(): Promise<void> {
      this.reset()
      listener.close()
      await once(listener, 'close')
    }
  }

  function accept(client: Socket): void {
    const server = connect(targetPort, '127.0.0.1')
    const pair: Pair = { client, server, name: '' }
    pairs.add(pair)
    const end = () => {
      pairs.delete(pair)
      client.destroy()
      server.destroy()
    }
    for (const socket of [client, server]) {
      socket.setNoDelay(true)
      socket.on('error', end)
      socket.on('close', end)
    }
    // A connection says its name in its first bytes: HELLO 3 SETNAME <name>.
    client.once('data', chunk => {
      pair.name = chunk.toString('latin1')
    })
    client.on('data', chunk => pass(chunk, { direction: 'toServer', pair, to: server, end }))
    server.on('data', chunk => pass(chunk, { direction: 'toClient', pair, to: client, end }))
  }

  function pass(
    chunk: Buffer,
    { direction, pair, to, end }: { direction: Direction; pair: Pair; to: Socket; end: () => void }
  ): void {
    if (swallowed?.direction === direction && pair.name.includes(swallowed.name)) return
    if (cutAfter?.direction === direction && pair.name.includes(cutAfter.name)) {
      if (chunk.length >= cutAfter.bytes) {
        const rest = chunk.subarray(0, cutAfter.bytes)
        cutAfter = undefined
        to.write(rest, () => end())
        return
      }
      cutAfter.bytes -= chunk.length
    }
    if (delayMs > 0) setTimeout(() => to.writable && to.write(chunk), delayMs)
    else to.write(chunk)
  }
}

export type Proxy = Awaited<ReturnType<typeof startProxy>>

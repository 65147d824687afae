import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import type { Teardown } from './lab.ts'

export type Fault =
  | { kind: 'none' }
  /** Every command is answered with this error and does not reach Redis. */
  | { kind: 'answers'; error: string }
  /** Bytes of one direction vanish on the connections that are open now; those to come work. */
  | { kind: 'halfOpen'; direction: 'toServer' | 'toClient' }
  | { kind: 'slow'; bytesPerSecond: number }
  /** A connection ends when a client sends this command on it. */
  | { kind: 'endsAt'; command: string }
  /** This command does not reach Redis. */
  | { kind: 'keeps'; command: string }

/** A TCP proxy in front of Redis with one fault at a time. */
export async function startFaultProxy(t: Teardown, targetPort: number) {
  let fault: Fault = { kind: 'none' }
  let age = 0
  let uploaded = 0
  const sockets = new Set<Socket>()
  const listener = createServer(accept).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const address = listener.address()
  if (address === null || typeof address === 'string') throw new Error('no TCP address')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    listener.close()
  })

  return {
    url: `redis://127.0.0.1:${address.port}`,
    set(next: Fault): void {
      fault = next
      age++
    },
    /** Connections that were ever opened. */
    get connections(): number {
      return sockets.size / 2
    },
    /** Bytes that clients sent so far. */
    get uploadedBytes(): number {
      return uploaded
    }
  }

  function accept(client: Socket): void {
    const server = connect(targetPort, '127.0.0.1')
    const born = age
    sockets.add(client).add(server)
    for (const [socket, other] of [
      [client, server],
      [server, client]
    ] as const) {
      socket.setNoDelay(true)
      socket.on('error', () => other.destroy())
      socket.on('close', () => other.destroy())
    }
    client.on('data', chunk => void toServer(chunk))
    server.on('data', chunk => {
      if (!isLost('toClient')) client.write(chunk)
    })

    async function toServer(chunk: Buffer): Promise<void> {
      uploaded += chunk.length
      if (isLost('toServer')) return
      if (fault.kind === 'endsAt' && chunk.includes(fault.command)) return void client.destroy()
      if (fault.kind === 'keeps' && chunk.includes(fault.command)) return
      if (fault.kind === 'answers') return void client.write(`-${fault.error}\r\n`.repeat(countCommands(chunk)))
      server.write(chunk)
      if (fault.kind !== 'slow') return
      client.pause()
      await new Promise(resolve =>
        setTimeout(resolve, (1_000 * chunk.length) / (fault.kind === 'slow' ? fault.bytesPerSecond : Infinity))
      )
      client.resume()
    }

    function isLost(direction: 'toServer' | 'toClient'): boolean {
      return fault.kind === 'halfOpen' && fault.direction === direction && born < age
    }
  }
}

/** Small commands come whole: each begins with the number of its words. */
function countCommands(chunk: Buffer): number {
  return chunk.toString('latin1').match(/\*\d+\r\n\$/g)?.length ?? 0
}

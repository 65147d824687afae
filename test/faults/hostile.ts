/** Clients that mean harm, or might as well: they hold connections and send as little as they can. None ever closes one itself. */
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { fixture } from '../support/system.ts'

/** What such a client sends: at once, and then each second. */
export interface Attack {
  name: string
  connections: number
  first: string
  /** One more byte each second, of a body if `first` is a whole head. */
  eachSecond?: (second: number) => Buffer
}

export interface Siege {
  /** Connections that the server still holds. */
  held: () => number
  stop: () => void
}

const image = fixture('ship.jpg')

export const attacks = {
  declaredOnly: { name: 'declare ten megabytes and send none', connections: 52, first: head(10_485_700) },
  slowHeaders: {
    name: 'send their head at a byte a second',
    connections: 300,
    first: 'POST /predict HTTP/1.1\r\nHost: a\r\nX-Slow: ',
    eachSecond: () => Buffer.from('a')
  },
  slowBodies: {
    name: 'send ten megabytes at a byte a second',
    connections: 500,
    first: head(10_485_700),
    eachSecond: nthByte
  },
  tinyAndSlow: {
    name: 'send a kilobyte at a byte a second',
    connections: 1_030,
    first: head(1_000),
    eachSecond: nthByte
  }
} satisfies Record<string, Attack>

/** Opens the connections of an attack to the server at `port` and goes on until `stop`. */
export async function besiege(port: number, { connections, first, eachSecond }: Attack): Promise<Siege> {
  const sockets = await Promise.all(Array.from({ length: connections }, () => open(port)))
  const ports = new Set(sockets.map(({ localPort }) => localPort ?? 0))
  for (const socket of sockets) socket.write(first)
  let second = 0
  const timer = setInterval(() => {
    for (const socket of sockets) if (socket.writable && eachSecond !== undefined) socket.write(eachSecond(second))
    second++
  }, 1_000)

  return {
    held: () => heldByServer(port, ports) ?? sockets.filter(({ destroyed }) => !destroyed).length,
    stop() {
      clearInterval(timer)
      for (const socket of sockets) socket.destroy()
    }
  }
}

/** Sends a whole request and resolves with the status of the answer, or why there was none. */
export async function throwAt(port: number, type: string, body: Buffer): Promise<string> {
  const socket = await open(port)
  socket.write(`${head(body.length, type)}`)
  socket.write(body)
  try {
    for await (const chunk of socket) return String(chunk).split(' ', 2)[1] ?? ''
    return 'closed'
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error)
  } finally {
    socket.destroy()
  }
}

function open(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    // Half-open: that the server ends its side doesn't end ours.
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true }, () => {
      socket.off('error', reject)
      resolve(socket)
    })
    socket.once('error', reject)
    // The server may reset it at any time, which is what it should do.
    socket.on('error', () => {})
  })
}

function head(bytes: number, type = 'image/jpeg'): string {
  return `POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: ${type}\r\nContent-Length: ${bytes}\r\n\r\n`
}

function nthByte(second: number): Buffer {
  return image.subarray(second, second + 1)
}

/**
 * Connections from `clientPorts` that a process still holds at its end: the kernel's list, without those that it alone is still
 * closing. Undefined where there is no such list.
 */
function heldByServer(serverPort: number, clientPorts: ReadonlySet<number>): number | undefined {
  if (process.platform !== 'linux') return undefined
  const rows = readFileSync('/proc/net/tcp', 'utf8').trim().split('\n').slice(1)
  return rows.filter(row => {
    const [, local = '', remote = '', , , , , , , inode] = row.trim().split(/\s+/)
    return portOf(local) === serverPort && clientPorts.has(portOf(remote)) && inode !== '0'
  }).length
}

/** Of "0100007F:1388". */
function portOf(address: string): number {
  return Number.parseInt(address.split(':')[1] ?? '', 16)
}

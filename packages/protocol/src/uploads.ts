import type { Connection } from './connection.ts'
import { limits } from './limits.ts'

/** An image on its way to Redis. */
export interface Upload<T> {
  bytes: number
  /** Asked once it is its turn; who is not waited for any more is not sent. */
  isWanted: () => boolean
  send: () => Promise<T>
}

interface Waiting {
  bytes: number
  isWanted: () => boolean
  go: () => void
}

/**
 * The order in which images go to Redis: no more than `limits.uploadWindowBytes` of them are in the socket, or one that is
 * larger; the others wait here. So what the link can't carry is known before it is sent.
 */
export function createUploads(connection: Pick<Connection, 'uploadBytesPerSecond'>) {
  const waiting: Waiting[] = []
  let sentBytes = 0
  let sent = 0

  return {
    /** Sends an image when it is its turn; undefined if nobody wants that any more. Rejects as `send` does. */
    async upload<T>({ bytes, isWanted, send }: Upload<T>): Promise<T | undefined> {
      if (waiting.length === 0 && hasRoom(bytes)) enter(bytes)
      else await new Promise<void>(go => waiting.push({ bytes, isWanted, go }))
      try {
        return isWanted() ? await send() : undefined
      } finally {
        leave(bytes)
      }
    },

    /** Bytes that Redis has not acknowledged, and for which somebody waits. */
    bytes: (): number => sentBytes + waitingBytes(),

    /** Milliseconds until an image that comes now could be sent, by what the link carried lately; 0 while nothing waits. */
    waitMs(): number {
      const bytes = waitingBytes()
      return bytes === 0 ? 0 : takesMs(sentBytes + bytes)
    },
    takesMs
  }

  /** Milliseconds that so many bytes take on the link, by what it carried lately; 0 as long as nothing is known. */
  function takesMs(bytes: number): number {
    const rate = connection.uploadBytesPerSecond()
    return rate === undefined ? 0 : (bytes * 1_000) / rate
  }

  function waitingBytes(): number {
    return waiting.reduce((sum, { bytes, isWanted }) => sum + (isWanted() ? bytes : 0), 0)
  }

  function hasRoom(bytes: number): boolean {
    return sent === 0 || sentBytes + bytes <= limits.uploadWindowBytes
  }

  function enter(bytes: number): void {
    sent++
    sentBytes += bytes
  }

  function leave(bytes: number): void {
    sent--
    sentBytes -= bytes
    for (let next = waiting[0]; next !== undefined && hasRoom(next.bytes); next = waiting[0]) {
      waiting.shift()
      enter(next.bytes)
      next.go()
    }
  }
}

export type Uploads = ReturnType<typeof createUploads>

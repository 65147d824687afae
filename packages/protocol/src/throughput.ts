/** Older bytes count half after about this many newer ones: a few images. */
const memoryBytes = 2 * 1024 * 1024

/** Bytes a second that a link carries, from what it carried lately. Small transfers, which measure the latency, weigh little. */
export function createThroughput() {
  let bytesSeen = 0
  let msSeen = 0

  return {
    add(bytes: number, ms: number): void {
      const kept = Math.exp(-bytes / memoryBytes)
      bytesSeen = bytesSeen * kept + bytes
      msSeen = msSeen * kept + ms
    },

    /** Undefined as long as nothing was carried. */
    bytesPerSecond(): number | undefined {
      return msSeen > 0 ? (bytesSeen * 1_000) / msSeen : undefined
    }
  }
}

export type Throughput = ReturnType<typeof createThroughput>

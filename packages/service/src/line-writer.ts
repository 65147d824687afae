import { write, writeSync } from 'node:fs'
import { register } from 'on-exit-leak-free'

export interface LineWriterOptions {
  /** File descriptor: 1 is standard output. */
  fd: number
  /**
   * Called once after a time in which nothing could be written, with how many lines that cost and the first error's
   * code.
   */
  onRecovered: (lost: { lines: number; reason: string }) => void
}

/**
 * Lines are written together, once they are this long or this old: a write for each took a tenth of a picture's CPU
 * time.
 */
const gatheredChars = 16_384
const gatheredMs = 50

/** What may wait for a reader that is slow or has stopped reading; lines over it are lost. */
const waitingChars = 8_388_608

/** A full pipe (EAGAIN) is tried again after this time. */
const busyMs = 100
/** At the end of the process nothing can wait: a full pipe is tried this often, then what is left is lost. */
const lastTries = 10

/**
 * Writes lines to a file descriptor in the background. Nothing that happens to it (a full disk, a reader that is
 * gone, a terminal that was closed) ever blocks or ends the process: lines that can't be written are counted and
 * dropped. pino's own sonic-boom retries them without end when the process exits.
 */
export function createLineWriter({ fd, onRecovered }: LineWriterOptions) {
  let lines: string[] = []
  let chars = 0
  let isWriting = false
  /** The last write ended within a line. */
  let isTorn = false
  let lost: { lines: number; reason: string } | undefined
  let timer: NodeJS.Timeout | undefined
  let flushed: Array<() => void> = []

  const writer = {
    /** Takes a line with its line break. */
    write(line: string): void {
      if (chars + line.length > waitingChars) return lose(1, 'EAGAIN')
      lines.push(line)
      chars += line.length
      if (chars >= gatheredChars) flush()
      else timer ??= setTimeout(flush, gatheredMs).unref()
    },

    /** Calls back once everything taken so far is written or lost. */
    flush(done: () => void): void {
      flushed.push(done)
      flush()
    },

    flushSync
  }
  register(writer, flushSync)
  return writer

  function flush(): void {
    clearTimeout(timer)
    timer = undefined
    if (isWriting) return
    if (lines.length > 0) return writeOn(take())
    const callbacks = flushed
    flushed = []
    for (const done of callbacks) done()
  }

  function take(): Buffer {
    const chunk = Buffer.from((isTorn ? '\n' : '') + lines.join(''))
    lines = []
    chars = 0
    isWriting = true
    return chunk
  }

  function writeOn(chunk: Buffer): void {
    write(fd, chunk, (error, bytes) => {
      if (isBusy(error)) return void setTimeout(writeOn, busyMs, chunk).unref()
      if (error) lose(linesIn(chunk), error.code ?? error.message)
      isTorn = error !== null ? isTorn : chunk[bytes - 1] !== newline
      if (error === null && bytes < chunk.length) return writeOn(chunk.subarray(bytes))
      isWriting = false
      if (error === null) recover()
      flush()
    })
  }

  function lose(count: number, reason: string): void {
    lost ??= { lines: 0, reason }
    lost.lines += count
  }

  function recover(): void {
    if (lost === undefined || isTorn) return
    const recovered = lost
    lost = undefined
    onRecovered(recovered)
  }

  /**
   * For the end of the process, when what waits is written now or never. What is being written at the moment is not
   * waited for.
   */
  function flushSync(): void {
    let chunk = Buffer.from((isTorn ? '\n' : '') + lines.join(''))
    lines = []
    chars = 0
    for (let tries = 0; chunk.length > 0 && tries < lastTries;) {
      try {
        chunk = chunk.subarray(writeSync(fd, chunk))
      } catch (error) {
        if (!isBusy(error as NodeJS.ErrnoException)) return
        tries++
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, busyMs)
      }
    }
  }
}

const newline = 10

function isBusy(error: NodeJS.ErrnoException | null): boolean {
  return error?.code === 'EAGAIN' || error?.code === 'EBUSY'
}

function linesIn(chunk: Buffer): number {
  return chunk.reduce((count, byte) => (byte === newline ? count + 1 : count), 0)
}

import { rename, stat } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { digestFile, type DigestAlgorithm } from '../store/digest.ts'
import { DownloadError } from './http.ts'
import { discardPart, partPath, receivedBytes, transfer, type Remote, type TransferOptions } from './transfer.ts'

/** A file to download, and how to know that it is the right one. */
export interface Download extends Remote {
  algorithm: DigestAlgorithm
  digest: string
}

export interface Retry {
  /** Failures in a row without progress before it is given up. */
  attempts: number
  /** Doubled from one failure to the next. */
  firstPauseMs: number
}

export interface DownloadOptions extends TransferOptions {
  retry?: Retry | undefined
  onRetry?: ((reason: string, pauseMs: number) => void) | undefined
}

const defaultRetry: Retry = { attempts: 6, firstPauseMs: 500 }
const longestPauseMs = 20_000
/** An attempt that brought less than this was no progress, or a server that drips bytes would be asked for ever. */
const progressBytes = 65_536

/**
 * Downloads a file to `path`, which exists only once it is complete and its digest is right. What is received before lies beside
 * it and is gone on with, in this call or a later one. Throws a DownloadError, or the signal's reason.
 */
export async function download(file: Download, path: string, options: DownloadOptions): Promise<void> {
  if ((await sizeOf(path)) === file.bytes) return
  const resumed = (await receivedBytes(path)) > 0
  await transferAll(file, path, options)
  const fault = await digestFault(file, path)
  if (fault !== undefined) {
    await discardPart(path)
    if (!resumed) throw new DownloadError(fault)
    // Bytes of an earlier run may have been damaged on the way to the disk. Those of this one were not.
    options.onRetry?.(fault, 0)
    await download(file, path, options)
    return
  }
  await rename(partPath(path), path)
  await discardPart(path)
}

/** Bytes of a file that are here already, of a complete one or of a part. */
export async function bytesHere(path: string): Promise<number> {
  return (await sizeOf(path)) ?? (await receivedBytes(path))
}

async function transferAll(file: Remote, path: string, options: DownloadOptions): Promise<void> {
  const { attempts, firstPauseMs } = options.retry ?? defaultRetry
  let best = await receivedBytes(path)
  for (let failures = 0; ;) {
    try {
      await transfer(file, path, options)
      return
    } catch (error) {
      if (!(error instanceof DownloadError) || !error.transient) throw error
      const received = await receivedBytes(path)
      failures = received >= best + progressBytes ? 0 : failures + 1
      best = Math.max(best, received)
      if (failures >= attempts)
        throw new DownloadError(`${error.message}; given up after ${attempts} attempts, what is here is kept`, {
          cause: error
        })
      const pauseMs = Math.min(error.retryAfterMs ?? firstPauseMs * 2 ** failures, longestPauseMs)
      options.onRetry?.(error.message, pauseMs)
      await sleep(pauseMs, undefined, options.signal ? { signal: options.signal } : {})
    }
  }
}

async function digestFault({ url, algorithm, digest }: Download, path: string): Promise<string | undefined> {
  const found = await digestFile(partPath(path), algorithm)
  return found === digest
    ? undefined
    : `${url}: ${algorithm} ${found}, the catalog says ${digest}: what was received is not the file that was published, and was removed`
}

async function sizeOf(path: string): Promise<number | undefined> {
  return await stat(path).then(
    ({ size }) => size,
    () => undefined
  )
}

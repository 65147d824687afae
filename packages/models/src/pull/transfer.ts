import { createWriteStream } from 'node:fs'
import { readFile, rm, stat, writeFile } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { request, type Dispatcher } from 'undici'
import { DownloadError, toDownloadError, type Network } from './http.ts'

/** A file to fetch, and how large it must be. */
export interface Remote {
  url: string
  bytes: number
}

export interface TransferOptions {
  network: Network
  signal?: AbortSignal | undefined
  /** Told how many bytes of the file are here; less than before when it had to start anew. */
  onProgress?: ((received: number) => void) | undefined
}

/** What an earlier attempt left: so many bytes, of the file that the server then called `validator`. */
interface Part {
  received: number
  validator: string
}

/**
 * One attempt to complete `<path>.part`. It goes on where an earlier one ended if the server has the very same file and can
 * send a range of it, and starts anew otherwise. Throws a DownloadError, transient where another attempt may go further.
 */
export async function transfer(remote: Remote, path: string, options: TransferOptions): Promise<void> {
  const part = await readPart(path)
  if (part.received === remote.bytes) return
  const response = await ask(remote.url, part, options)
  const from = await startOf(response, { remote, part, path })
  await writeFile(validatorPath(path), validatorOf(response.headers) ?? '')
  await receive(response, { remote, from, path }, options)
  const { size: received } = await stat(partPath(path))
  if (received < remote.bytes)
    throw new DownloadError(`${remote.url}: ended after ${received} of ${remote.bytes} bytes`, { transient: true })
}

/** Bytes of `path` that earlier attempts brought. */
export async function receivedBytes(path: string): Promise<number> {
  return (await readPart(path)).received
}

export function partPath(path: string): string {
  return `${path}.part`
}

function validatorPath(path: string): string {
  return `${path}.part.etag`
}

/** Forgets what was received so far. */
export async function discardPart(path: string): Promise<void> {
  await rm(partPath(path), { force: true })
  await rm(validatorPath(path), { force: true })
}

/** Without a validator nobody knows of which file these bytes are: they don't count. */
async function readPart(path: string): Promise<Part> {
  const validator = await readFile(validatorPath(path), 'utf8').catch(() => '')
  const size = await stat(partPath(path)).then(
    ({ size }) => size,
    () => 0
  )
  return { validator, received: validator === '' ? 0 : size }
}

async function ask(
  url: string,
  { received, validator }: Part,
  { network, signal }: TransferOptions
): Promise<Dispatcher.ResponseData> {
  // A compressed body could not be resumed, and its length says nothing.
  const headers = {
    'user-agent': 'streamsight',
    'accept-encoding': 'identity',
    ...(received > 0 ? { range: `bytes=${received}-`, 'if-range': validator } : {})
  }
  try {
    return await request(url, { dispatcher: network.dispatcher, headers, signal: signal ?? null })
  } catch (error) {
    signal?.throwIfAborted()
    throw toDownloadError(error, url, network)
  }
}

/** The byte at which the response's body begins. Throws for a response without the wanted file. */
async function startOf(
  response: Dispatcher.ResponseData,
  { remote: { url, bytes }, part, path }: { remote: Remote; part: Part; path: string }
): Promise<number> {
  const { statusCode, headers } = response
  const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(String(headers['content-range'] ?? ''))
  if (
    statusCode === 206 &&
    Number(range?.[1]) === part.received &&
    (range?.[2] === '*' || Number(range?.[2]) === bytes)
  )
    return part.received
  if (statusCode === 200 && (headers['content-length'] === undefined || Number(headers['content-length']) === bytes))
    return 0
  await response.body.dump().catch(() => undefined)
  if (statusCode === 200) {
    await discardPart(path)
    throw new DownloadError(
      `${url}: is ${String(headers['content-length'])} bytes, the catalog says ${bytes}: it is not the file that was published`
    )
  }
  if (statusCode === 206 || statusCode === 416) {
    await discardPart(path)
    throw new DownloadError(`${url}: the server does not have the rest of the part that is here`, { transient: true })
  }
  throw refusal(url, statusCode, headers)
}

function refusal(url: string, status: number, headers: Dispatcher.ResponseData['headers']): DownloadError {
  if (status === 404 || status === 410)
    return new DownloadError(`${url}: there is no such file (${status}): the catalog may be out of date`)
  if (status === 407)
    return new DownloadError(
      `the proxy asks for a password (407): give it in HTTPS_PROXY=http://user:password@host:port`
    )
  const transient = status === 408 || status === 425 || status === 429 || status >= 500
  return new DownloadError(`${url}: the server answers ${status}`, {
    transient,
    retryAfterMs: retryAfterMs(headers['retry-after'])
  })
}

/** Only the form in seconds; no download server sends the other one, a date. */
function retryAfterMs(value: string | string[] | undefined): number | undefined {
  return typeof value === 'string' && /^\d+$/.test(value) ? Number(value) * 1_000 : undefined
}

/** What names this very content. A weak ETag doesn't: it may stand for other bytes with the same meaning. */
function validatorOf({ etag, 'last-modified': modified }: Dispatcher.ResponseData['headers']): string | undefined {
  if (typeof etag === 'string' && !etag.startsWith('W/')) return etag
  return typeof modified === 'string' ? modified : undefined
}

async function receive(
  { body }: Dispatcher.ResponseData,
  { remote, from, path }: { remote: Remote; from: number; path: string },
  { network, signal, onProgress }: TransferOptions
): Promise<void> {
  let received = from
  onProgress?.(received)
  const counted = async function* (chunks: AsyncIterable<Buffer>) {
    for await (const chunk of chunks) {
      received += chunk.length
      if (received > remote.bytes)
        throw new DownloadError(
          `${remote.url}: is longer than the ${remote.bytes} bytes that the catalog says: it is not the file that was published`
        )
      yield chunk
      onProgress?.(received)
    }
  }
  try {
    await pipeline(
      body,
      counted,
      createWriteStream(partPath(path), { flags: from === 0 ? 'w' : 'a' }),
      signal ? { signal } : {}
    )
  } catch (error) {
    signal?.throwIfAborted()
    throw error instanceof DownloadError
      ? error
      : (toDiskError(error, path) ?? toDownloadError(error, remote.url, network))
  }
}

/** A failure of the disk; undefined if it was the connection. */
function toDiskError(error: unknown, path: string): DownloadError | undefined {
  const { code, syscall, message } = error as NodeJS.ErrnoException
  if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG')
    return new DownloadError(
      `${partPath(path)}: the disk is full (${code}): make room and pull again, what is here is kept`,
      { cause: error }
    )
  return syscall === 'open' || syscall === 'write'
    ? new DownloadError(`${partPath(path)}: ${message}`, { cause: error })
    : undefined
}

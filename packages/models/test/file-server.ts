import { createHash } from 'node:crypto'
import { once } from 'node:events'
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse
} from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'

type After = Pick<TestContext, 'after'>

/** What a download server may do instead of answering properly. Offsets count from the start of what it sends. */
export type Fault =
  | { kind: 'status'; status: number; headers?: Record<string, string> }
  /** The connection closes. Not by a reset, which takes bytes with it that are on their way: nobody could say how many arrived. */
  | { kind: 'cut'; after: number }
  /** Nothing more comes, but the connection stays. */
  | { kind: 'stall'; after: number }
  /** Without a length, so that only the end shows how long it is. */
  | { kind: 'chunked' }

export interface Asked {
  path: string
  range: string | undefined
  ifRange: string | undefined
  index: number
}

export interface Files {
  [path: string]: Buffer
}

/**
 * An HTTP server for `files`, with ranges and ETags. What `fault` gives for a request happens instead of a good answer. `files`
 * and `traits` may be changed while it runs.
 */
export async function startFileServer(
  t: After,
  files: Files,
  fault: (asked: Asked) => Fault | undefined = () => undefined
) {
  const requests: Asked[] = []
  const traits = { ranges: true, validators: true }
  const server = createServer((request, response) => {
    const path = decodeURIComponent(request.url ?? '')
    const asked = {
      path,
      range: request.headers.range,
      ifRange: request.headers['if-range'] as string | undefined,
      index: requests.filter(earlier => earlier.path === path).length
    }
    requests.push(asked)
    answer(response, { body: files[path], asked, fault: fault(asked), traits })
  })
  return {
    url: await listen(t, server),
    requests,
    files,
    traits,
    of: (path: string) => requests.filter(asked => asked.path === path)
  }
}

interface Answer {
  body: Buffer | undefined
  asked: Asked
  fault: Fault | undefined
  traits: { ranges: boolean; validators: boolean }
}

function answer(response: ServerResponse, { body, asked, fault, traits }: Answer): void {
  if (fault?.kind === 'status') return void response.writeHead(fault.status, fault.headers).end('no')
  if (body === undefined) return void response.writeHead(404).end('no such file')
  const etag = `"${createHash('sha256').update(body).digest('hex').slice(0, 16)}"`
  const start = traits.ranges && asked.ifRange === etag ? Number(/^bytes=(\d+)-$/.exec(asked.range ?? '')?.[1] ?? 0) : 0
  const sent = body.subarray(start)
  response.writeHead(start > 0 ? 206 : 200, {
    ...(traits.validators ? { etag } : {}),
    ...(start > 0 ? { 'content-range': `bytes ${start}-${body.length - 1}/${body.length}` } : {}),
    ...(fault?.kind === 'chunked' ? {} : { 'content-length': sent.length })
  })
  if (fault?.kind === 'cut' && fault.after < sent.length)
    response.write(sent.subarray(0, fault.after), () => response.socket?.end())
  else if (fault?.kind === 'stall') response.write(sent.subarray(0, fault.after))
  else response.end(sent)
}

/** A proxy as companies have them: plain HTTP is forwarded, HTTPS tunnelled. `status` is its answer to everything, if given. */
export async function startProxy(t: After, { status }: { status?: number } = {}) {
  const seen: string[] = []
  const forward: RequestListener = (request, response) => {
    seen.push(`${request.method} ${request.url}`)
    if (status !== undefined) return void response.writeHead(status).end()
    const upstream = httpRequest(request.url ?? '', { headers: request.headers }, answer => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(response)
    })
    upstream.end()
  }
  const server = createServer(forward)
  server.on('connect', (request: IncomingMessage, socket: NodeJS.WritableStream & NodeJS.ReadableStream) => {
    seen.push(`CONNECT ${request.url}`)
    if (status !== undefined) return void socket.end(`HTTP/1.1 ${status} No\r\n\r\n`)
    const [host = '', port] = (request.url ?? '').split(':')
    const upstream = connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n')
      upstream.pipe(socket).pipe(upstream)
    })
    upstream.on('error', () => socket.end())
    socket.on('error', () => upstream.destroy())
  })
  return { url: await listen(t, server), seen }
}

/** On a port of its own until the test ends; open connections end with it. */
export async function listen(t: After, server: Server): Promise<string> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

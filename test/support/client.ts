/** The gateway's clients, from `fetch` and the real curl to those that hardly speak HTTP. */
import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { connect, type Socket } from 'node:net'
import { promisify } from 'node:util'
import type { System } from './system.ts'

/** An HTTP answer, whatever carried it here. */
export interface Reply {
  status: number
  headers: Headers
  text: string
}

export interface Part {
  name: string
  content: Buffer | string
  filename?: string
}

/** Why tests that need curl are left out here; false where it is present. */
export const withoutCurl = spawnSync('curl', ['--version']).error !== undefined && 'curl is not installed'

export const boundary = 'streamsight'
export const multipart = `multipart/form-data; boundary=${boundary}`

export async function send(url: string, init: RequestInit): Promise<Reply> {
  const response = await fetch(url, init)
  return { status: response.status, headers: response.headers, text: await response.text() }
}

/** POST /predict. No type means no Content-Type. */
export function post(
  system: Pick<System, 'url'>,
  body: Buffer | string,
  { type, headers = {}, query = '' }: { type?: string; headers?: Record<string, string>; query?: string } = {}
): Promise<Reply> {
  return send(`${system.url}/predict${query}`, {
    method: 'POST',
    body: new Uint8Array(Buffer.from(body)),
    headers: { ...headers, ...(type === undefined ? {} : { 'content-type': type }) }
  })
}

export function postForm(system: Pick<System, 'url'>, parts: Part[]): Promise<Reply> {
  return post(system, formOf(parts), { type: multipart })
}

export function formOf(parts: Part[]): Buffer {
  const encoded = parts.flatMap(({ name, content, filename }) => [
    Buffer.from(
      `--${boundary}\r\nContent-Disposition: form-data; name="${name}"${filename === undefined ? '' : `; filename="${filename}"`}\r\n\r\n`
    ),
    Buffer.from(content),
    Buffer.from('\r\n')
  ])
  return Buffer.concat([...encoded, Buffer.from(`--${boundary}--\r\n`)])
}

/** POST /predict by a client that reads nothing before it has sent everything, as many simple ones do. */
export async function postStubbornly(
  system: System,
  body: Buffer,
  headers: Record<string, string> = {}
): Promise<Reply> {
  const fields = {
    Host: 'a',
    ...('Transfer-Encoding' in headers ? {} : { 'Content-Length': String(body.length) }),
    ...headers
  }
  const socket = connect(system.port, '127.0.0.1').pause()
  socket.write(
    `POST /predict HTTP/1.1\r\n${Object.entries(fields)
      .map(([name, value]) => `${name}: ${value}\r\n`)
      .join('')}\r\n`
  )
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject)
    socket.write(body, error => (error ? reject(error) : resolve()))
  })
  const reply = await readReply(socket)
  socket.destroy()
  return reply
}

/** The next answer on a bare connection. */
export async function readReply(socket: Socket): Promise<Reply> {
  let transcript = ''
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    transcript += String(chunk)
    const reply = parseReply(transcript)
    if (reply.text.length === Number(reply.headers.get('content-length') ?? -1)) return reply
  }
  throw new Error(`the connection ended in an answer: ${transcript}`)
}

/** A body as a single chunk of a transfer whose length is not told beforehand. */
export function chunked(body: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${body.length.toString(16)}\r\n`), body, Buffer.from('\r\n0\r\n\r\n')])
}

/** POST /predict by the real curl. Fails if curl does, on a reset connection for one. */
export async function curl(system: System, args: string[]): Promise<Reply> {
  const { stdout } = await promisify(execFile)('curl', [
    '--silent',
    '--show-error',
    '--include',
    '--noproxy',
    '*',
    ...args,
    `${system.url}/predict`
  ])
  return parseReply(stdout)
}

/** The last answer in a transcript: before it there may be a "100 Continue". */
function parseReply(transcript: string): Reply {
  const blocks = transcript.split('\r\n\r\n')
  const [statusLine = '', ...fields] = (blocks.findLast(block => block.startsWith('HTTP/')) ?? '').split('\r\n')
  const headers = new Headers(fields.map(field => field.split(/: ?(.*)/s).slice(0, 2) as [string, string]))
  return { status: Number(statusLine.split(' ')[1]), headers, text: blocks.at(-1) ?? '' }
}

/** It is answered with `count` predictions, and a ship first. */
export function assertShip({ status, text }: Reply, count = 5): void {
  assert.equal(status, 200, text)
  const { predictions } = JSON.parse(text) as { predictions: Array<{ label: string; probability: number }> }
  assert.equal(predictions.length, count)
  assert.equal(predictions[0]?.label, 'ship')
}

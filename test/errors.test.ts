import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test, type TestContext } from 'node:test'
import { promisify } from 'node:util'
import { crc32, deflateSync } from 'node:zlib'
import {
  createClock, createConnection, createConsumer, createRegistration, keysOf, protocolVersion, type Delivery, type FailureCode, type Outcome
} from '@streamsight/protocol'
import { errorTable, type ErrorCode } from '../apps/gateway/dist/errors.js'
import { root } from '../scripts/bootstrap.js'
import { fixture, startSystem, type System } from './support/system.ts'
import { until } from './support/until.ts'

/** An HTTP answer, whatever carried it here. */
interface Reply { status: number, headers: Headers, text: string }

interface Part { name: string, content: Buffer | string, filename?: string }

const provoked = new Set<ErrorCode>()
const ship = fixture('ship.jpg')
const boundary = 'streamsight'
const multipart = `multipart/form-data; boundary=${boundary}`
const withoutCurl = spawnSync('curl', ['--version']).error !== undefined && 'curl is not installed'

/** With a real worker, for every test that wants nothing special. */
const shared = startSystem({ after: end => after(end as () => Promise<void>) }, { env: { ADMIN_TOKEN: 'operator' } })

test('every way to send an image is understood', async t => {
  const system = await shared
  const file = join(root, 'test/fixtures/ship.jpg')
  const json = (image: string) => post(system, JSON.stringify({ image }), { type: 'application/json' })
  const ways: Record<string, () => Promise<Reply>> = {
    'a form with a file name': () => postForm(system, [{ name: 'image', content: ship, filename: 'ship.jpg' }]),
    'a form without a file name': () => postForm(system, [{ name: 'image', content: ship }]),
    'a form with fields and files around it': () => postForm(system, [
      { name: 'comment', content: 'before' }, { name: 'other', content: fixture('cat.png'), filename: 'cat.png' },
      { name: 'image', content: ship, filename: 'ship.jpg' },
      { name: 'comment', content: 'after' }, { name: 'another', content: fixture('dog.jpg'), filename: 'dog.jpg' }
    ]),
    'a form with two of them, of which the first counts': () => postForm(system, [
      { name: 'image', content: ship, filename: 'ship.jpg' }, { name: 'image', content: fixture('cat.png'), filename: 'cat.png' }
    ]),
    'JSON with base64': () => json(ship.toString('base64')),
    'JSON with base64url': () => json(ship.toString('base64url')),
    'JSON with a data URL': () => json(`data:image/jpeg;base64,${ship.toString('base64')}`),
    'raw as the type it has': () => post(system, ship, { type: 'image/jpeg' }),
    'raw as a type it does not have': () => post(system, ship, { type: 'image/png' }),
    'raw as text': () => post(system, ship, { type: 'text/plain' }),
    'raw as what curl claims': () => post(system, ship, { type: 'application/x-www-form-urlencoded' }),
    'raw without a type': () => post(system, ship),
    'raw in chunks of unknown number': () => postStubbornly(system, chunked(ship), { 'Transfer-Encoding': 'chunked' })
  }
  for (const [way, send] of Object.entries(ways)) await t.test(way, async () => assertShip(await send()))

  const curlWays: Record<string, string[]> = { '-F image=@': ['-F', `image=@${file}`], '-F image=<': ['-F', `image=<${file}`], '--data-binary': ['--data-binary', `@${file}`] }
  for (const [way, args] of Object.entries(curlWays)) await t.test(`curl ${way}`, { skip: withoutCurl }, async () => assertShip(await curl(system, args)))

  for (const [topK, expected] of [[1, 1], [3, 3], [100, 10]] as const) {
    await t.test(`topK=${topK} gives ${expected} of the model’s 10 classes`, async () => {
      assertShip(await post(system, ship, { query: `?topK=${topK}` }), expected)
    })
  }
  await t.test('the model by its name', async () => assertShip(await post(system, ship, { query: '?model=everyday' })))
})

test('every mistake of a client gets its own answer', async t => {
  const system = await shared
  const image = { name: 'image', content: ship, filename: 'ship.jpg' }
  const form = formOf([{ name: 'comment', content: 'hello' }, image, { name: 'comment', content: 'bye' }])
  const cutForm = (at: number) => post(system, form.subarray(0, at), { type: multipart })
  const json = (text: string) => post(system, text, { type: 'application/json' })
  const raw = (content: Buffer | string) => post(system, content, { type: 'image/jpeg' })

  const mistakes: Array<[what: string, code: ErrorCode, send: () => Promise<Reply>]> = [
    ['a form cut in the head of a part', 'MALFORMED_REQUEST', () => cutForm(boundary.length + 20)],
    ['a form cut in a field', 'MALFORMED_REQUEST', () => cutForm(form.indexOf('hello') + 2)],
    ['a form cut in the image', 'MALFORMED_REQUEST', () => cutForm(form.indexOf(ship) + 1_000)],
    ['a form cut behind the image', 'MALFORMED_REQUEST', () => cutForm(form.indexOf('bye') + 1)],
    ['a form without its last line', 'MALFORMED_REQUEST', () => cutForm(form.length - 6)],
    ['a form that names no boundary', 'MALFORMED_REQUEST', () => post(system, form, { type: 'multipart/form-data' })],
    ['a form with another boundary', 'MALFORMED_REQUEST', () => post(system, form, { type: 'multipart/form-data; boundary=other' })],
    ['a form of too many parts', 'MALFORMED_REQUEST', () => postForm(system, [...Array.from({ length: 30 }, (_, i) => ({ name: `f${i}`, content: 'x' })), image])],
    ['a form with a field that means something to JavaScript', 'MALFORMED_REQUEST', () => postForm(system, [{ name: '__proto__', content: 'x' }, image])],
    ['broken JSON', 'MALFORMED_REQUEST', () => json('{"image":')],
    ['no JSON at all', 'MALFORMED_REQUEST', () => json('')],
    ['JSON with bad base64', 'MALFORMED_REQUEST', () => json('{"image":"%%%"}')],
    ['JSON with a number for an image', 'MALFORMED_REQUEST', () => json('{"image":5}')],
    ['topK below the limit', 'MALFORMED_REQUEST', () => post(system, ship, { query: '?topK=0' })],
    ['topK over the limit', 'MALFORMED_REQUEST', () => post(system, ship, { query: '?topK=101' })],
    ['topK that is no number', 'MALFORMED_REQUEST', () => post(system, ship, { query: '?topK=abc' })],
    ['topK twice', 'MALFORMED_REQUEST', () => post(system, ship, { query: '?topK=1&topK=2' })],
    ['an address with a broken escape', 'MALFORMED_REQUEST', () => send(`${system.url}/%E0%A4%A`, {})],
    ['a form without an image', 'NO_IMAGE', () => postForm(system, [{ name: 'comment', content: 'hello' }])],
    ['a form with the image under another name', 'NO_IMAGE', () => postForm(system, [{ ...image, name: 'file' }])],
    ['a form with an empty file', 'NO_IMAGE', () => postForm(system, [{ ...image, content: '' }])],
    ['an empty form', 'NO_IMAGE', () => postForm(system, [])],
    ['an empty body', 'NO_IMAGE', () => raw('')],
    ['JSON without an image', 'NO_IMAGE', () => json('{}')],
    ['JSON null', 'NO_IMAGE', () => json('null')],
    ['an unknown address', 'NOT_FOUND', () => send(`${system.url}/predictions`, {})],
    ['a known address asked in another way', 'NOT_FOUND', () => send(`${system.url}/predict`, {})],
    ['a large body to an unknown address, which is not even read', 'NOT_FOUND', () => send(`${system.url}/upload`, { method: 'POST', body: new Uint8Array(20_000_000) })],
    ['an unknown model', 'MODEL_NOT_FOUND', () => post(system, ship, { query: '?model=unknown' })],
    ['two models', 'MODEL_NOT_FOUND', () => post(system, ship, { query: '?model=everyday&model=everyday' })],
    ['900 million pixels in a few kilobytes', 'TOO_MANY_PIXELS', () => raw(pngOf(30_000, 30_000))],
    ['an SVG', 'UNSUPPORTED_IMAGE', () => post(system, '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', { type: 'image/svg+xml' })],
    ['a text that is called .jpg', 'UNSUPPORTED_IMAGE', () => postForm(system, [{ ...image, content: 'Dear reader,' }])],
    ['the image as text in its own field', 'UNSUPPORTED_IMAGE', () => postForm(system, [{ name: 'image', content: 'ship.jpg' }])],
    ['garbage', 'UNSUPPORTED_IMAGE', () => raw(Buffer.from('00112233445566778899', 'hex'))],
    ['a JPEG that ends in its pixels', 'UNDECODABLE_IMAGE', () => raw(ship.subarray(0, ship.length / 2))],
    ['a JPEG that ends in its header', 'UNDECODABLE_IMAGE', () => raw(ship.subarray(0, 30))],
    ['a PNG with nothing behind its header', 'UNDECODABLE_IMAGE', () => raw(pngOf(8, 8).subarray(0, 33))]
  ]
  for (const [what, code, send] of mistakes) await t.test(what, async () => assertRefused(await send(), code))

  await t.test('a request line that is not HTTP', async () => {
    const socket = connect(system.port, '127.0.0.1')
    socket.write('HELLO\r\n\r\n')
    const { status, text } = await readReply(socket)
    socket.destroy()
    assert.equal(status, 400)
    assert.deepEqual(Object.keys(JSON.parse(text) as object), ['success', 'error', 'requestId'])
    assert.equal(errorOf(text).code, 'MALFORMED_REQUEST')
  })

  await t.test('a client that hangs up in the middle of its body leaves nothing behind', async () => {
    const socket = connect(system.port, '127.0.0.1')
    socket.write(`POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: ${multipart}\r\nContent-Length: ${form.length}\r\n\r\n`)
    socket.write(form.subarray(0, 2_000))
    await untilHeld(system, form.length)
    socket.destroy()
    await untilHeld(system, 0)
    assertShip(await post(system, ship))
  })

  await t.test('what breaks on our side tells nothing of it', async t => {
    const redis = createConnection({ url: system.redis.url, name: 'test', log: silent })
    await redis.connect()
    t.after(() => redis.destroy())
    await redis.set(keysOf(system.prefix, 'everyday').dead, 'not a stream')
    const reply = await send(`${system.url}/admin/dead-letters`, { headers: { authorization: 'Bearer operator' } })
    assertRefused(reply, 'INTERNAL')
    assert.equal(errorOf(reply.text).message, errorTable.INTERNAL.message)
    const line = await system.gateway.untilLog('it is in the log', ({ requestId }) => requestId === reply.headers.get('x-request-id'))
    assert.match(JSON.stringify(line['err']), /WRONGTYPE/)
  })
})

test('a file that is too large is refused in words, not by a reset connection', async t => {
  const system = await shared
  const folder = temporaryFolder(t)
  const files = { huge: Buffer.concat([ship, Buffer.alloc(20_000_000)]), large: Buffer.concat([ship, Buffer.alloc(11_000_000)]) }
  for (const [size, content] of Object.entries(files)) {
    const file = join(folder, `${size}.jpg`)
    writeFileSync(file, content)
    const ways: Record<string, () => Promise<Reply>> = {
      'as a form': () => postForm(system, [{ name: 'image', content, filename: 'image.jpg' }]),
      raw: () => post(system, content, { type: 'image/jpeg' }),
      'as JSON': () => post(system, JSON.stringify({ image: content.toString('base64') }), { type: 'application/json' }),
      'in chunks': () => postStubbornly(system, chunked(content), { 'Transfer-Encoding': 'chunked' }),
      'by a client that listens only afterwards': () => postStubbornly(system, content),
      'by one that also wants the connection closed': () => postStubbornly(system, content, { Connection: 'close' }),
      'as a form, by the same': () => postStubbornly(system, formOf([{ name: 'image', content }]), { Connection: 'close', 'Content-Type': multipart })
    }
    for (const [way, send] of Object.entries(ways)) {
      await t.test(`${size} ${way}`, async () => assertRefused(await send(), 'IMAGE_TOO_LARGE'))
    }
    for (const args of [['-F', `image=@${file}`], ['--data-binary', `@${file}`], ['-T', file, '-X', 'POST']]) {
      await t.test(`${size} by curl ${args[0]}`, { skip: withoutCurl }, async () => assertRefused(await curl(system, args), 'IMAGE_TOO_LARGE'))
    }
  }

  for (const [size, second] of [['a little', 60_000], ['much', 2_000_000]] as const) {
    await t.test(`a connection can be used again after a form that goes on with ${size} behind the mistake`, async t => {
      const form = formOf([{ name: 'image', content: files.large, filename: 'a' }, { name: 'image', content: Buffer.alloc(second), filename: 'b' }])
      const socket = connect(system.port, '127.0.0.1')
      t.after(() => socket.destroy())
      socket.write(`POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: ${multipart}\r\nContent-Length: ${form.length}\r\n\r\n`)
      socket.write(form)
      assertRefused(await readReply(socket), 'IMAGE_TOO_LARGE')
      socket.write('GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n')
      assert.equal((await readReply(socket)).status, 200)
    })
  }

  await t.test('nothing of it is held afterwards', () => untilHeld(system, 0))
})

test('keys and rates', async t => {
  const system = await startSystem(t, { workers: 0, env: { API_KEYS: 'alpha, beta', RATE_LIMIT_PER_MINUTE: '3', ADMIN_TOKEN: 'operator' } })
  await standIn(t, system)
  const ask = (authorization?: string) => post(system, 'no image', { headers: authorization === undefined ? {} : { authorization } })

  for (const wrong of [undefined, 'Bearer gamma', 'Bearer', 'Bearer alph', 'Bearer alpha,', 'Bearer operator', 'Basic alpha', 'alpha']) {
    await t.test(`${wrong ?? 'no key'} is refused`, async () => assertRefused(await ask(wrong), 'UNAUTHORIZED'))
  }
  await t.test('a large body without a key is refused in words', { skip: withoutCurl }, async t => {
    const file = join(temporaryFolder(t), 'large.jpg')
    writeFileSync(file, Buffer.alloc(5_000_000))
    assertRefused(await curl(system, ['-F', `image=@${file}`]), 'UNAUTHORIZED')
  })
  await t.test('a key does not open /admin', async () => {
    assertRefused(await send(`${system.url}/admin/dead-letters`, { headers: { authorization: 'Bearer alpha' } }), 'UNAUTHORIZED')
  })
  await t.test('each key has its own rate, however it is spelled', async () => {
    for (const spelling of ['Bearer alpha', 'Bearer  alpha', 'Bearer alpha ']) assertRefused(await ask(spelling), 'UNSUPPORTED_IMAGE')
    const reply = await ask('Bearer   alpha')
    assertRefused(reply, 'RATE_LIMITED')
    assertRetryAfter(reply)
    assertRefused(await ask('Bearer beta'), 'UNSUPPORTED_IMAGE')
  })
  await t.test('where there are no keys, nobody escapes the rate by inventing some', async t => {
    const open = await startSystem(t, { workers: 0, env: { RATE_LIMIT_PER_MINUTE: '2' } })
    const codes = []
    for (const key of ['one', 'two', 'three']) codes.push(errorOf((await post(open, ship, { headers: { authorization: `Bearer ${key}` } })).text).code)
    assert.deepEqual(codes, ['NO_WORKERS', 'NO_WORKERS', 'RATE_LIMITED'])
  })
})

test('what happens behind the gateway', async t => {
  const system = await startSystem(t, { workers: 0, gatewayEnv: { MAX_IN_FLIGHT: '2', MAX_QUEUE_DEPTH: '1' } })

  await t.test('no worker has ever been there', async () => assertRefused(await post(system, ship), 'NO_WORKERS'))

  const worker = await standIn(t, system)
  for (const code of ['INFERENCE_FAILED', 'POISONED_IMAGE', 'UNDECODABLE_IMAGE', 'UNSUPPORTED_IMAGE', 'TOO_MANY_PIXELS', 'DEADLINE_EXCEEDED'] as const) {
    await t.test(`a worker says ${code}`, async () => {
      const reply = post(system, ship)
      await worker.finish(await worker.take(), code)
      assertRefused(await reply, code)
    })
  }

  await t.test('the queue is full', async () => {
    const open = post(system, ship)
    const delivery = await worker.take()
    assertRefused(await post(system, ship), 'OVERLOADED')
    await worker.finish(delivery)
    assertShip(await open, 1)
  })

  await t.test('more is open than the gateway may hold, although no body is there yet', async t => {
    const sockets = [connect(system.port, '127.0.0.1'), connect(system.port, '127.0.0.1')]
    t.after(() => sockets.forEach(socket => socket.destroy()))
    for (const socket of sockets) socket.write('POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n')
    await untilHeld(system, 2_000)
    assertRefused(await post(system, ship), 'OVERLOADED')
    for (const socket of sockets) socket.destroy()
    await untilHeld(system, 0)
    const reply = post(system, ship)
    await worker.finish(await worker.take())
    assertShip(await reply, 1)
  })

  await t.test('the same Idempotency-Key gets the same answer without a second job', async () => {
    const headers = { 'idempotency-key': 'order-1' }
    const first = post(system, ship, { headers })
    await worker.finish(await worker.take())
    const [one, two] = [await first, await post(system, ship, { headers })]
    assertShip(one, 1)
    assert.deepEqual(JSON.parse(two.text), JSON.parse(one.text))
  })

  await t.test('the gateway is told to stop while a request is open', async () => {
    const open = post(system, ship)
    const delivery = await worker.take()
    system.gateway.signal('SIGTERM')
    await untilUnready(system, /shutting down/)
    assertRefused(await post(system, ship), 'SHUTTING_DOWN')
    assertRefused(await postStubbornly(system, Buffer.alloc(5_000_000)), 'SHUTTING_DOWN')
    await worker.finish(delivery)
    assertShip(await open, 1)
    assert.equal(await system.gateway.exited(), 0)
  })

  await t.test('Redis goes away', async () => {
    await system.restartGateway()
    await worker.report()
    await until('the gateway is ready', async () => (await send(`${system.url}/health/ready`, {})).status === 200)
    await system.redis.stop()
    // It sits out two seconds, in which requests wait.
    await untilUnready(system, /Redis has been away for ([3-9]|\d\d) s/)
    assertRefused(await post(system, ship), 'BROKER_UNAVAILABLE')
    assert.equal((await send(`${system.url}/health/live`, {})).status, 200)
  })
})

test('a worker that stands still costs its clients no more than the deadline', async t => {
  const system = await startSystem(t, { gatewayEnv: { REQUEST_TIMEOUT_MS: '500' } })
  system.workers[0]?.signal('SIGSTOP')
  assertRefused(await post(system, ship), 'DEADLINE_EXCEEDED')
  system.workers[0]?.signal('SIGCONT')
  await until('it answers again', async () => (await post(system, ship)).status === 200)
})

test('every code of the error table was provoked in this file', () => {
  assert.deepEqual([...provoked].toSorted(), Object.keys(errorTable).toSorted())
})

const silent = { info () {}, warn () {}, error () {} }

/** A worker without a model: the test says what becomes of each job. */
async function standIn (t: TestContext, system: System) {
  const [commands, blocking] = [1, 2].map(() => createConnection({ url: system.redis.url, name: 'stand-in', log: silent })) as [ReturnType<typeof createConnection>, ReturnType<typeof createConnection>]
  await Promise.all([commands.connect(), blocking.connect()])
  t.after(() => { commands.destroy(); blocking.destroy() })
  const keys = keysOf(system.prefix, 'everyday')
  const clock = createClock(commands)
  await clock.sync()
  const consumer = createConsumer({ commands, blocking }, { keys, name: 'stand-in', clock })
  await consumer.ensureGroup()
  const registration = createRegistration(commands, keys, clock)
  const report = () => registration.report({
    name: 'stand-in',
    pid: 1,
    state: 'ready',
    model: { name: 'everyday', version: '1', classes: 10, width: 32, height: 32 },
    engine: 'none',
    latency: { aMs: 1, bMs: 1 },
    maxBatch: 1,
    ratePerSecond: 100,
    held: 0,
    finished: 0
  })
  await report()
  await until('the gateway has seen it', async () => (await send(`${system.url}/health/ready`, {})).status === 200)

  return {
    report,

    /** The next job, taken as a real worker takes it. */
    async take (): Promise<Delivery> {
      await report()
      return await until('a job arrives', async () => (await consumer.read(1, () => {}))[0])
    },

    async finish (delivery: Delivery, code?: FailureCode): Promise<void> {
      const said = { v: protocolVersion, id: delivery.job.id, worker: 'stand-in', deliveries: 1 } as const
      const outcome: Outcome = code === undefined
        ? { ...said, status: 'ok', predictions: [{ label: 'ship', probability: 1 }], model: { name: 'everyday', version: '1' }, engine: 'none', batchSize: 1, timings: { queueMs: 0, decodeMs: 0, inferMs: 0 } }
        : { ...said, status: 'error', code, message: 'for the client' }
      assert.equal(await consumer.finish(delivery, outcome), true)
    }
  }
}

async function send (url: string, init: RequestInit): Promise<Reply> {
  const response = await fetch(url, init)
  return { status: response.status, headers: response.headers, text: await response.text() }
}

/** POST /predict. No type means no Content-Type. */
function post (system: Pick<System, 'url'>, body: Buffer | string, { type, headers = {}, query = '' }: { type?: string, headers?: Record<string, string>, query?: string } = {}): Promise<Reply> {
  return send(`${system.url}/predict${query}`, { method: 'POST', body: new Uint8Array(Buffer.from(body)), headers: { ...headers, ...(type === undefined ? {} : { 'content-type': type }) } })
}

function postForm (system: System, parts: Part[]): Promise<Reply> {
  return post(system, formOf(parts), { type: multipart })
}

function formOf (parts: Part[]): Buffer {
  const encoded = parts.flatMap(({ name, content, filename }) => [
    Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="${name}"${filename === undefined ? '' : `; filename="${filename}"`}\r\n\r\n`),
    Buffer.from(content), Buffer.from('\r\n')
  ])
  return Buffer.concat([...encoded, Buffer.from(`--${boundary}--\r\n`)])
}

/** POST /predict by a client that reads nothing before it has sent everything, as many simple ones do. */
async function postStubbornly (system: System, body: Buffer, headers: Record<string, string> = {}): Promise<Reply> {
  const fields = { Host: 'a', ...('Transfer-Encoding' in headers ? {} : { 'Content-Length': String(body.length) }), ...headers }
  const socket = connect(system.port, '127.0.0.1').pause()
  socket.write(`POST /predict HTTP/1.1\r\n${Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`)
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject)
    socket.write(body, error => error ? reject(error) : resolve())
  })
  const reply = await readReply(socket)
  socket.destroy()
  return reply
}

/** The next answer on a bare connection. */
async function readReply (socket: Socket): Promise<Reply> {
  let transcript = ''
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    transcript += String(chunk)
    const reply = parseReply(transcript)
    if (reply.text.length === Number(reply.headers.get('content-length') ?? -1)) return reply
  }
  throw new Error(`the connection ended in an answer: ${transcript}`)
}

/** A body as a single chunk of a transfer whose length is not told beforehand. */
function chunked (body: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${body.length.toString(16)}\r\n`), body, Buffer.from('\r\n0\r\n\r\n')])
}

/** POST /predict by the real curl. Fails if curl does, on a reset connection for one. */
async function curl (system: System, args: string[]): Promise<Reply> {
  const { stdout } = await promisify(execFile)('curl', ['--silent', '--show-error', '--include', '--noproxy', '*', ...args, `${system.url}/predict`])
  return parseReply(stdout)
}

/** The last answer in a transcript: before it there may be a "100 Continue". */
function parseReply (transcript: string): Reply {
  const blocks = transcript.split('\r\n\r\n')
  const [statusLine = '', ...fields] = (blocks.findLast(block => block.startsWith('HTTP/')) ?? '').split('\r\n')
  const headers = new Headers(fields.map(field => field.split(/: ?(.*)/s).slice(0, 2) as [string, string]))
  return { status: Number(statusLine.split(' ')[1]), headers, text: blocks.at(-1) ?? '' }
}

function errorOf (text: string): { code: string, message: string } {
  return (JSON.parse(text) as { error: { code: string, message: string } }).error
}

/** The error has the code, the status of that code, and the shape that every error has. */
function assertRefused (reply: Reply, code: ErrorCode): void {
  const { status, headers, text } = reply
  const error = errorOf(text)
  assert.equal(error.code, code, text)
  assert.equal(status, errorTable[code].status)
  assert.match(headers.get('content-type') ?? '', /^application\/json/)
  assert.match(headers.get('x-request-id') ?? '', /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
  assert.deepEqual(JSON.parse(text), { success: false, error: { code, message: error.message }, requestId: headers.get('x-request-id') })
  assert.ok(error.message.length > 0)
  if (status === 503) assertRetryAfter(reply)
  provoked.add(code)
}

function assertRetryAfter ({ headers }: Reply): void {
  assert.match(headers.get('retry-after') ?? '', /^([1-9]|[1-5]\d|60)$/)
}

function assertShip ({ status, text }: Reply, count = 5): void {
  assert.equal(status, 200, text)
  const { predictions } = JSON.parse(text) as { predictions: Array<{ label: string, probability: number }> }
  assert.equal(predictions.length, count)
  assert.equal(predictions[0]?.label, 'ship')
}

/** Waits until the gateway holds places for bodies of so many bytes. */
async function untilHeld (system: System, bytes: number): Promise<void> {
  await until(`${bytes} bytes are held`, async () => (await send(`${system.url}/metrics`, {})).text.includes(`streamsight_held_bytes ${bytes}\n`))
}

async function untilUnready (system: System, reason: RegExp): Promise<void> {
  await until(`not ready: ${reason.source}`, async () => reason.test((await send(`${system.url}/health/ready`, {})).text))
}

function temporaryFolder (t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'streamsight-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return folder
}

/** A PNG in black and white that has its header right, whatever is behind it. */
function pngOf (width: number, height: number): Buffer {
  const header = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0])
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), chunk('IHDR', header), chunk('IDAT', deflateSync(Buffer.alloc(1_000_000))), chunk('IEND', Buffer.alloc(0))])
}

function chunk (type: string, content: Buffer): Buffer {
  const named = Buffer.concat([Buffer.from(type, 'latin1'), content])
  const frame = Buffer.alloc(8)
  frame.writeUInt32BE(content.length, 0)
  frame.writeUInt32BE(crc32(named), 4)
  return Buffer.concat([frame.subarray(0, 4), named, frame.subarray(4)])
}

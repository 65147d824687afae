import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { deflateSync } from 'node:zlib'
import { keysOf } from '@streamsight/protocol'
import { errorTable, type ErrorCode } from '../apps/gateway/dist/errors.js'
import { pngChunk } from '../apps/worker/test/support/pictures.ts'
import {
  assertShip,
  boundary,
  chunked,
  curl,
  formOf,
  multipart,
  post,
  postForm,
  postStubbornly,
  readReply,
  send,
  withoutCurl,
  type Reply
} from './support/client.ts'
import { temporaryFolder } from './support/folder.ts'
import { openRedis } from './support/redis.ts'
import { startStandIn } from './support/stand-in.ts'
import { fixture, startSystem, type System } from './support/system.ts'
import { until } from './support/until.ts'

const provoked = new Set<ErrorCode>()
const ship = fixture('ship.jpg')

/** With a real worker, for every test that wants nothing special. */
const shared = startSystem({ after: end => after(end as () => Promise<void>) }, { env: { ADMIN_TOKEN: 'operator' } })

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
    [
      'a form with another boundary',
      'MALFORMED_REQUEST',
      () => post(system, form, { type: 'multipart/form-data; boundary=other' })
    ],
    [
      'a form of too many parts',
      'MALFORMED_REQUEST',
      () => postForm(system, [...Array.from({ length: 30 }, (_, i) => ({ name: `f${i}`, content: 'x' })), image])
    ],
    [
      'a form with a field that means something to JavaScript',
      'MALFORMED_REQUEST',
      () => postForm(system, [{ name: '__proto__', content: 'x' }, image])
    ],
    ['broken JSON', 'MALFORMED_REQUEST', () => json('{"image":')],
    ['no JSON at all', 'MALFORMED_REQUEST', () => json('')],
    ['JSON with bad base64', 'MALFORMED_REQUEST', () => json('{"image":"%%%"}')],
    ['JSON with a number for an image', 'MALFORMED_REQUEST', () => json('{"image":5}')],
    ['topK below the limit', 'MALFORMED_REQUEST', () => post(system, ship, { query: '?topK=0' })],
    ['topK over the limit', 'MALFORMED_REQUEST', () => post(system, ship, { query: '?topK=101' })],
    ['topK that is no number', 'MALFORMED_REQUEST', () => post(system, ship, { query: '?topK=abc' })],
    ['topK twice', 'MALFORMED_REQUEST', () => post(system, ship, { query: '?topK=1&topK=2' })],
    ['an address with a broken escape', 'MALFORMED_REQUEST', () => send(`${system.url}/%E0%A4%A`, {})],
    ['a form without an image', 'NO_IMAGE', () => postForm(system, [{ name: 'topK', content: '3' }])],
    [
      'a form with the image under another name',
      'MALFORMED_REQUEST',
      () => postForm(system, [{ ...image, name: 'file' }])
    ],
    ['a form with an empty file', 'NO_IMAGE', () => postForm(system, [{ ...image, content: '' }])],
    ['an empty form', 'NO_IMAGE', () => postForm(system, [])],
    ['an empty body', 'NO_IMAGE', () => raw('')],
    ['JSON without an image', 'NO_IMAGE', () => json('{}')],
    ['JSON null', 'NO_IMAGE', () => json('null')],
    ['an unknown address', 'NOT_FOUND', () => send(`${system.url}/predictions`, {})],
    ['a known address asked in another way', 'METHOD_NOT_ALLOWED', () => send(`${system.url}/predict`, {})],
    [
      'a large body to an unknown address, which is not even read',
      'NOT_FOUND',
      () => send(`${system.url}/upload`, { method: 'POST', body: new Uint8Array(20_000_000) })
    ],
    ['an unknown model', 'MODEL_NOT_FOUND', () => post(system, ship, { query: '?model=unknown' })],
    ['two models', 'MALFORMED_REQUEST', () => post(system, ship, { query: '?model=everyday&model=everyday' })],
    ['900 million pixels in a few kilobytes', 'TOO_MANY_PIXELS', () => raw(pngOf(30_000, 30_000))],
    [
      'a coding that nobody here undoes',
      'UNSUPPORTED_ENCODING',
      () => post(system, ship, { headers: { 'content-encoding': 'zstd' } })
    ],
    [
      'an SVG',
      'UNSUPPORTED_IMAGE',
      () => post(system, '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', { type: 'image/svg+xml' })
    ],
    [
      'a text that is called .jpg',
      'UNSUPPORTED_IMAGE',
      () => postForm(system, [{ ...image, content: 'Dear reader,' }])
    ],
    [
      'the image as text in its own field',
      'UNSUPPORTED_IMAGE',
      () => postForm(system, [{ name: 'image', content: 'ship.jpg' }])
    ],
    ['garbage', 'UNSUPPORTED_IMAGE', () => raw(Buffer.from('00112233445566778899', 'hex'))],
    ['a JPEG that ends in its pixels', 'UNDECODABLE_IMAGE', () => raw(ship.subarray(0, ship.length / 2))],
    ['a JPEG that ends in its header', 'UNDECODABLE_IMAGE', () => raw(ship.subarray(0, 30))],
    ['a PNG with nothing behind its header', 'UNDECODABLE_IMAGE', () => raw(pngOf(8, 8).subarray(0, 33))]
  ]
  for (const [what, code, send] of mistakes) await t.test(what, async () => assertRefused(await send(), code))

  await t.test('headers that are too large', async () => {
    const reply = await send(`${system.url}/health/live`, { headers: { 'x-large': 'x'.repeat(20_000) } })
    assertRefused(reply, 'HEADERS_TOO_LARGE')
  })

  await t.test('headers that never end', { timeout: 30_000 }, async () => {
    const socket = connect(system.port, '127.0.0.1')
    socket.write('POST /predict HTTP/1.1\r\nHost: a\r\n')
    assertRefused(await readReply(socket), 'REQUEST_TIMEOUT')
    await until('the connection is closed', () => socket.destroyed || socket.readableEnded)
    socket.destroy()
  })

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
    socket.write(
      `POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: ${multipart}\r\nContent-Length: ${form.length}\r\n\r\n`
    )
    socket.write(form.subarray(0, 2_000))
    await untilHeld(system, 2_000)
    socket.destroy()
    await untilHeld(system, 0)
    assertShip(await post(system, ship))
  })

  await t.test('what breaks on our side tells nothing of it', async t => {
    const redis = await openRedis(t, system.redis.url)
    await redis.set(keysOf(system.prefix, 'everyday').dead, 'not a stream')
    const reply = await send(`${system.url}/admin/dead-letters`, { headers: { authorization: 'Bearer operator' } })
    assertRefused(reply, 'INTERNAL')
    assert.equal(errorOf(reply.text).message, errorTable.INTERNAL.message)
    const line = await system.gateway.untilLog(
      'it is in the log',
      ({ requestId }) => requestId === reply.headers.get('x-request-id')
    )
    assert.match(JSON.stringify(line['err']), /WRONGTYPE/)
  })
})

test('a file that is too large is refused in words, not by a reset connection', async t => {
  const system = await shared
  const folder = temporaryFolder(t)
  const files = {
    huge: Buffer.concat([ship, Buffer.alloc(20_000_000)]),
    large: Buffer.concat([ship, Buffer.alloc(11_000_000)])
  }
  for (const [size, content] of Object.entries(files)) {
    const file = join(folder, `${size}.jpg`)
    writeFileSync(file, content)
    const ways: Record<string, () => Promise<Reply>> = {
      'as a form': () => postForm(system, [{ name: 'image', content, filename: 'image.jpg' }]),
      raw: () => post(system, content, { type: 'image/jpeg' }),
      'as JSON': () =>
        post(system, JSON.stringify({ image: content.toString('base64') }), { type: 'application/json' }),
      'in chunks': () => postStubbornly(system, chunked(content), { 'Transfer-Encoding': 'chunked' }),
      'by a client that listens only afterwards': () => postStubbornly(system, content),
      'by one that also wants the connection closed': () => postStubbornly(system, content, { Connection: 'close' }),
      'as a form, by the same': () =>
        postStubbornly(system, formOf([{ name: 'image', content }]), { Connection: 'close', 'Content-Type': multipart })
    }
    for (const [way, send] of Object.entries(ways)) {
      await t.test(`${size} ${way}`, async () => assertRefused(await send(), 'IMAGE_TOO_LARGE'))
    }
    for (const args of [
      ['-F', `image=@${file}`],
      ['--data-binary', `@${file}`],
      ['-T', file, '-X', 'POST']
    ]) {
      await t.test(`${size} by curl ${args[0]}`, { skip: withoutCurl }, async () =>
        assertRefused(await curl(system, args), 'IMAGE_TOO_LARGE')
      )
    }
  }

  for (const [size, second] of [
    ['a little', 60_000],
    ['much', 2_000_000]
  ] as const) {
    await t.test(
      `a connection can be used again after a form that goes on with ${size} behind the mistake`,
      async t => {
        const form = formOf([
          { name: 'image', content: files.large, filename: 'a' },
          { name: 'image', content: Buffer.alloc(second), filename: 'b' }
        ])
        const socket = connect(system.port, '127.0.0.1')
        t.after(() => socket.destroy())
        socket.write(
          `POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: ${multipart}\r\nContent-Length: ${form.length}\r\n\r\n`
        )
        socket.write(form)
        assertRefused(await readReply(socket), 'IMAGE_TOO_LARGE')
        socket.write('GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n')
        assert.equal((await readReply(socket)).status, 200)
      }
    )
  }

  await t.test('nothing of it is held afterwards', () => untilHeld(system, 0))
})

test('keys and rates', async t => {
  const system = await startSystem(t, {
    workers: 0,
    env: { API_KEYS: 'alpha, beta', RATE_LIMIT_PER_MINUTE: '3', ADMIN_TOKEN: 'operator' }
  })
  await startStandIn(t, system)
  const ask = (authorization?: string) =>
    post(system, 'no image', { headers: authorization === undefined ? {} : { authorization } })

  for (const wrong of [
    undefined,
    'Bearer gamma',
    'Bearer',
    'Bearer alph',
    'Bearer alpha,',
    'Bearer operator',
    'Basic alpha',
    'alpha'
  ]) {
    await t.test(`${wrong ?? 'no key'} is refused`, async () => assertRefused(await ask(wrong), 'UNAUTHORIZED'))
  }
  await t.test('a large body without a key is refused in words', { skip: withoutCurl }, async t => {
    const file = join(temporaryFolder(t), 'large.jpg')
    writeFileSync(file, Buffer.alloc(5_000_000))
    assertRefused(await curl(system, ['-F', `image=@${file}`]), 'UNAUTHORIZED')
  })
  await t.test('a key does not open /admin', async () => {
    assertRefused(
      await send(`${system.url}/admin/dead-letters`, { headers: { authorization: 'Bearer alpha' } }),
      'UNAUTHORIZED'
    )
  })
  await t.test('each key has its own rate, however it is spelled', async () => {
    for (const spelling of ['Bearer alpha', 'Bearer  alpha', 'Bearer alpha '])
      assertRefused(await ask(spelling), 'UNSUPPORTED_IMAGE')
    const reply = await ask('Bearer   alpha')
    assertRefused(reply, 'RATE_LIMITED')
    assertRetryAfter(reply)
    assertRefused(await ask('Bearer beta'), 'UNSUPPORTED_IMAGE')
  })
  await t.test('where there are no keys, nobody escapes the rate by inventing some', async t => {
    const open = await startSystem(t, { workers: 0, env: { RATE_LIMIT_PER_MINUTE: '2' } })
    const codes = []
    for (const key of ['one', 'two', 'three'])
      codes.push(errorOf((await post(open, ship, { headers: { authorization: `Bearer ${key}` } })).text).code)
    assert.deepEqual(codes, ['NO_WORKERS', 'NO_WORKERS', 'RATE_LIMITED'])
  })
})

test('more is being worked on than may be', async t => {
  const system = await startSystem(t, { workers: 0, gatewayEnv: { MAX_IN_FLIGHT: '1' } })
  const worker = await startStandIn(t, system)
  const open = post(system, ship)
  const delivery = await worker.take()
  assertRefused(await post(system, ship), 'OVERLOADED')
  await worker.finish(delivery)
  assertShip(await open, 1)
  await untilHeld(system, 0)
})

test('what happens behind the gateway', async t => {
  const system = await startSystem(t, { workers: 0, gatewayEnv: { MAX_IN_FLIGHT: '2', MAX_QUEUE_DEPTH: '1' } })

  await t.test('no worker has ever been there', async () => assertRefused(await post(system, ship), 'NO_WORKERS'))

  const worker = await startStandIn(t, system)
  for (const code of [
    'INFERENCE_FAILED',
    'POISONED_IMAGE',
    'UNDECODABLE_IMAGE',
    'UNSUPPORTED_IMAGE',
    'TOO_MANY_PIXELS',
    'DEADLINE_EXCEEDED'
  ] as const) {
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

  await t.test('the same Idempotency-Key gets the same answer without a second job', async () => {
    const headers = { 'idempotency-key': 'order-1' }
    const first = post(system, ship, { headers })
    await worker.finish(await worker.take())
    const [one, two] = [await first, await post(system, ship, { headers })]
    assertShip(one, 1)
    const [{ requestId: firstId, ...answer }, { requestId: secondId, ...again }] = [one, two].map(
      ({ text }) => JSON.parse(text) as Record<string, unknown>
    ) as [Record<string, unknown>, Record<string, unknown>]
    assert.deepEqual(again, answer)
    assert.notEqual(firstId, secondId, 'a request is not a job')
  })

  await t.test('B8: the same Idempotency-Key with another picture or another topK is refused', async () => {
    const headers = { 'idempotency-key': 'order-2' }
    const open = post(system, ship, { headers })
    const delivery = await worker.take()
    const others = () => [
      post(system, fixture('cat.png'), { headers }),
      post(system, ship, { headers, query: '?topK=3' })
    ]
    await worker.finish(delivery)
    assertShip(await open, 1)
    for (const reply of await Promise.all(others())) assertRefused(reply, 'IDEMPOTENCY_MISMATCH')
  })

  await t.test('B7: an outcome that a retry may change answers no retry', async () => {
    const headers = { 'idempotency-key': 'order-3' }
    const first = post(system, ship, { headers })
    await worker.finish(await worker.take(), 'INFERENCE_FAILED')
    assertRefused(await first, 'INFERENCE_FAILED')
    const again = post(system, ship, { headers })
    await worker.finish(await worker.take())
    assertShip(await again, 1)
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
    // It sits out six seconds, in which requests wait.
    await untilUnready(system, /Redis has been away for ([7-9]|\d\d) s/)
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

function errorOf(text: string): { code: string; message: string } {
  return (JSON.parse(text) as { error: { code: string; message: string } }).error
}

/** The error has the code, the status of that code, and the shape that every error has. */
function assertRefused(reply: Reply, code: ErrorCode): void {
  const { status, headers, text } = reply
  const error = errorOf(text)
  assert.equal(error.code, code, text)
  assert.equal(status, errorTable[code].status)
  assert.match(headers.get('content-type') ?? '', /^application\/json/)
  assert.match(headers.get('x-request-id') ?? '', /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
  assert.deepEqual(JSON.parse(text), {
    success: false,
    error: { code, message: error.message },
    requestId: headers.get('x-request-id')
  })
  assert.ok(error.message.length > 0)
  if (status === 503) assertRetryAfter(reply)
  provoked.add(code)
}

function assertRetryAfter({ headers }: Reply): void {
  assert.match(headers.get('retry-after') ?? '', /^([1-9]|[1-5]\d|60)$/)
}

/** Waits until the gateway holds places for bodies of so many bytes. */
async function untilHeld(system: System, bytes: number): Promise<void> {
  await until(`${bytes} bytes are held`, async () =>
    (await send(`${system.url}/metrics`, {})).text.includes(`streamsight_held_bytes ${bytes}\n`)
  )
}

async function untilUnready(system: System, reason: RegExp): Promise<void> {
  await until(`not ready: ${reason.source}`, async () =>
    reason.test((await send(`${system.url}/health/ready`, {})).text)
  )
}

/** A PNG in black and white that has its header right, whatever is behind it. */
function pngOf(width: number, height: number): Buffer {
  const header = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0])
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    pngChunk('IHDR', header),
    pngChunk('IDAT', deflateSync(Buffer.alloc(1_000_000))),
    pngChunk('IEND', Buffer.alloc(0))
  ])
}

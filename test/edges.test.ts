import assert from 'node:assert/strict'
import { connect, type Socket } from 'node:net'
import { after, test } from 'node:test'
import { brotliCompressSync, constants, deflateRawSync, deflateSync, gzipSync } from 'node:zlib'
import { errorTable, type ErrorCode } from '../apps/gateway/src/errors.ts'
import { assertShip, formOf, multipart, post, postForm, readReply, send, type Reply } from './support/client.ts'
import { startGateway, type TestGateway } from './support/gateway.ts'
import { openRedis } from './support/redis.ts'
import { fixture } from './support/system.ts'
import { until } from './support/until.ts'

const ship = fixture('ship.jpg')
const json = { type: 'application/json' }

/** For every test that wants nothing special. */
const shared = startGateway({ after: end => after(end as () => Promise<void>) }, { ADMIN_TOKEN: 'operator' })

test('A1: sockets that only declare a body take nothing from others, and are gone soon', async t => {
  const gateway = await startGateway(t, { MAX_IN_FLIGHT_BYTES: '20000000', MIN_UPLOAD_GRACE_MS: '500' })
  const sockets = openMany(t, gateway, { count: 52, head: headOf(10_485_700) })
  await until('all of them are there', async () => (await gauge(gateway, 'uploads')) === 52)
  assert.equal(await gauge(gateway, 'held_bytes'), 0)
  for (let i = 0; i < 10; i++) assertShip(await post(gateway, ship), 1)
  await untilGone(gateway, sockets)
})

test('A2: bodies of 1 byte a second make room for others, and are told 408', async t => {
  const gateway = await startGateway(t, { MAX_UPLOADS: '20', MIN_UPLOAD_GRACE_MS: '3000' })
  const sockets = openMany(t, gateway, { count: 20, head: `${headOf(1_000)}x` })
  await until('all of them are there', async () => (await gauge(gateway, 'uploads')) === 20)
  await until('one is cut off to make room', async () => (await post(gateway, ship)).status === 200)
  for (let i = 0; i < 10; i++) assertShip(await post(gateway, ship), 1)
  const told = await Promise.all(sockets.map(socket => readReply(socket)))
  for (const reply of told) assertRefused(reply, 'REQUEST_TIMEOUT')
  await untilGone(gateway, sockets)
})

test('A5: a body of JSON that is made to be slow is refused in no time', { timeout: 60_000 }, async () => {
  const gateway = await shared
  const bytes = 13_000_000
  const bombs: Record<string, string> = {
    'lists in lists': '['.repeat(bytes),
    'empty objects': `[${'{},'.repeat(bytes / 3)}{}]`,
    'a million keys': `{${Array.from({ length: 1_000_000 }, (_, i) => `"k${i}":1`).join(',')}}`,
    'quotes in a string': `{"image":"${'\\"'.repeat(bytes / 2)}"}`,
    'backslashes in a string': `{"image":"${'\\\\'.repeat(bytes / 2)}"}`,
    'long strings': `{${Array.from({ length: 11_000 }, (_, i) => `"k${i}":"${'x'.repeat(1_100)}"`).join(',')}}`,
    blanks: ' '.repeat(bytes)
  }
  for (const [what, body] of Object.entries(bombs)) {
    const reply = await post(gateway, body, json)
    assertRefused(reply, 'MALFORMED_REQUEST', what)
  }
  // A general parser takes seconds of CPU for the seven of them.
  const before = process.cpuUsage()
  for (const body of Object.values(bombs)) await post(gateway, body, json)
  const { user } = process.cpuUsage(before)
  assert.ok(user < 3_000_000, `${user} µs, client included`)
})

test('A5: what JSON may be is understood', async t => {
  const gateway = await shared
  const base64 = ship.toString('base64')
  const ways: Record<string, string> = {
    'with fields beside the image': JSON.stringify({ topK: 1, image: base64, model: 'everyday' }),
    'D: with a byte order mark': `\ufeff${JSON.stringify({ image: base64 })}`,
    'with slashes escaped, as PHP does': `{"image":"${base64.replaceAll('/', '\\/')}"}`,
    'with every letter escaped': `{"image":"${[...base64].map(c => `\\u00${c.charCodeAt(0).toString(16)}`).join('')}"}`,
    'with line breaks': JSON.stringify({ image: base64.replaceAll(/.{76}/g, '$&\r\n') }),
    'with the name of the field escaped': JSON.stringify({ image: base64 }).replace('image', '\\u0069mage'),
    'pretty printed': JSON.stringify({ image: `data:image/jpeg;base64,${base64}` }, null, 4)
  }
  for (const [way, body] of Object.entries(ways))
    await t.test(way, async () => assertShip(await post(gateway, body, json), 1))
})

test('A5: what JSON may not be is named', async t => {
  const gateway = await shared
  const base64 = ship.toString('base64')
  const mistakes: Array<[body: string, message: RegExp]> = [
    [`{"image":"${base64}","image":"${base64}"}`, /Field "image" is there twice/],
    [`{"image":"${base64}","topk":3}`, /Unknown field "topk"; did you mean topK\?/],
    [`{"image":"${base64}","topK":0}`, /topK=0 is not valid/],
    [`{"image":"${base64}","topK":{"a":1}}`, /topK=\{"a":1\} is not valid/],
    [`{"image":"${base64}"`, /not JSON/],
    [`{"image":"${base64}`, /not JSON/],
    [`{"image":"${base64}=A"}`, /not base64/],
    [`{"image":["${base64}"]}`, /must be base64 text/],
    [`{"${'n'.repeat(5_000)}":1}`, /field's name has more than 1024 bytes/]
  ]
  for (const [body, message] of mistakes) {
    const reply = await post(gateway, body, json)
    assertRefused(reply, 'MALFORMED_REQUEST', body.slice(0, 20))
    assert.match(messageOf(reply), message)
    await t.test(messageOf(reply), () => assert.ok(reply.text.length < 500))
  }
})

test('A8: wrong keys are limited for each address, and right ones go on', async t => {
  const gateway = await startGateway(t, {
    API_KEYS: 'alpha,beta',
    MAX_FAILED_KEYS_PER_MINUTE: '5',
    TRUST_PROXY: '127.0.0.1'
  })
  const ask = (authorization: string, address: string) =>
    post(gateway, ship, { headers: { authorization, 'x-forwarded-for': address } })
  assertShip(await ask('Bearer alpha', '198.51.100.1'), 1)
  for (let i = 0; i < 5; i++) assertRefused(await ask(`Bearer wrong${i}`, '198.51.100.1'), 'UNAUTHORIZED')
  const limited = await ask('Bearer another', '198.51.100.1')
  assertRefused(limited, 'RATE_LIMITED')
  assert.match(limited.headers.get('retry-after') ?? '', /^([1-9]|[1-5]\d|60)$/)
  assertRefused(await ask('Bearer beta', '198.51.100.1'), 'RATE_LIMITED', 'a guess is not told to be right')
  assertShip(await ask('Bearer alpha', '198.51.100.1'), 1)
  assertShip(await ask('Bearer beta', '198.51.100.2'), 1)
})

test('A8: clients behind a trusted proxy are told apart, of IPv6 by their /64', async t => {
  const gateway = await startGateway(t, { RATE_LIMIT_PER_MINUTE: '2', TRUST_PROXY: '127.0.0.0/8' })
  const statuses = async (...addresses: string[]) => {
    const replies = []
    for (const address of addresses)
      replies.push(await post(gateway, ship, { headers: { 'x-forwarded-for': address } }))
    return replies.map(({ status }) => status)
  }
  assert.deepEqual(await statuses('198.51.100.1', '198.51.100.1', '198.51.100.1'), [200, 200, 429])
  assert.deepEqual(await statuses('198.51.100.2'), [200])
  assert.deepEqual(await statuses('2001:db8::1', '2001:db8::ffff:2', '2001:db8::3'), [200, 200, 429])
  assert.deepEqual(await statuses('2001:db8:0:1::1'), [200])
  assert.deepEqual(await statuses('::ffff:198.51.100.2', '198.51.100.2'), [200, 429])
  assert.deepEqual(await statuses('198.51.100.3:50001', '198.51.100.3:50002', '198.51.100.3'), [200, 200, 429])
  assert.deepEqual(await statuses('[2001:db8:0:2::1]:50001', '[2001:db8:0:2::2]', '2001:db8:0:2::3'), [200, 200, 429])
})

test('A8: nobody is believed who forwards for others unasked', async t => {
  const gateway = await startGateway(t, { RATE_LIMIT_PER_MINUTE: '1' })
  assert.equal((await post(gateway, ship, { headers: { 'x-forwarded-for': '198.51.100.1' } })).status, 200)
  assert.equal((await post(gateway, ship, { headers: { 'x-forwarded-for': '198.51.100.2' } })).status, 429)
})

test('A8: a proxy that is no address ends the start', async t => {
  await assert.rejects(startGateway(t, { TRUST_PROXY: '10.0.0.0/99' }), /TRUST_PROXY="10.0.0.0\/99" is not valid/)
})

test('D: pages of allowed origins may ask, and see what they need of the answer', async t => {
  const gateway = await startGateway(t, { CORS_ORIGINS: 'https://a.example, https://b.example' })
  const from = (origin: string) => ({ headers: { origin } })
  const preflight = (origin: string) =>
    send(`${gateway.url}/predict`, {
      method: 'OPTIONS',
      headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization' }
    })
  const allowed = await preflight('https://b.example')
  assert.equal(allowed.status, 204)
  assert.equal(allowed.headers.get('access-control-allow-origin'), 'https://b.example')
  assert.equal(allowed.headers.get('access-control-allow-headers'), 'authorization')
  assert.match(allowed.headers.get('access-control-allow-methods') ?? '', /POST/)
  assert.equal((await preflight('https://c.example')).headers.get('access-control-allow-origin'), null)
  for (const reply of [
    await post(gateway, ship, from('https://a.example')),
    await post(gateway, '', from('https://a.example'))
  ]) {
    assert.equal(reply.headers.get('access-control-allow-origin'), 'https://a.example')
    assert.match(reply.headers.get('access-control-expose-headers') ?? '', /x-request-id/)
  }
  const missing = await send(`${gateway.url}/nothing`, from('https://a.example'))
  assert.equal(missing.headers.get('access-control-allow-origin'), 'https://a.example')
})

test('D: no page may ask unless that is set, every page where it is *', async t => {
  const reply = await post(await shared, ship, { headers: { origin: 'https://a.example' } })
  assert.equal(reply.headers.get('access-control-allow-origin'), null)
  const open = await startGateway(t, { CORS_ORIGINS: '*' })
  const answer = await post(open, ship, { headers: { origin: 'https://a.example' } })
  assert.equal(answer.headers.get('access-control-allow-origin'), '*')
})

test('D: a gzip, deflate or br body is decoded, whatever is in it', async t => {
  const gateway = await shared
  const form = formOf([{ name: 'image', content: ship, filename: 'ship.jpg' }])
  const bodies: Array<[what: string, type: string, body: Buffer]> = [
    ['raw', 'image/jpeg', ship],
    ['form', multipart, form],
    ['JSON', 'application/json', Buffer.from(JSON.stringify({ image: ship.toString('base64') }))]
  ]
  const codings: Array<[coding: string, encode: (body: Buffer) => Buffer]> = [
    ['gzip', gzipSync],
    ['GZIP', gzipSync],
    ['x-gzip', gzipSync],
    ['deflate', deflateSync],
    ['deflate', deflateRawSync],
    ['br', brotli],
    ['identity', body => body]
  ]
  for (const [what, type, body] of bodies) {
    for (const [coding, encode] of codings) {
      await t.test(`${what}, ${coding}`, async () =>
        assertShip(await post(gateway, encode(body), { type, headers: { 'content-encoding': coding } }), 1)
      )
    }
  }
})

test('D: encodings that are not decoded are named, and broken ones said to be', async () => {
  const gateway = await shared
  const encoded = (coding: string, body: Buffer) => post(gateway, body, { headers: { 'content-encoding': coding } })
  for (const coding of ['zstd', 'compress', 'gzip, gzip', 'constructor', 'x'.repeat(5_000)]) {
    const reply = await encoded(coding, ship)
    assertRefused(reply, 'UNSUPPORTED_ENCODING')
    assert.match(messageOf(reply), new RegExp(`^Content-Encoding "${coding.slice(0, 90)}`))
    assert.ok(reply.text.length < 500)
  }
  for (const body of [ship, gzipSync(ship).subarray(0, 1_000)]) {
    const reply = await encoded('gzip', body)
    assertRefused(reply, 'MALFORMED_REQUEST')
    assert.match(messageOf(reply), /not valid gzip/)
  }
})

test('D: a body that grows past the limit as it is decoded is refused, and nothing of it stays', async () => {
  const gateway = await shared
  for (const encode of [gzipSync, brotli]) {
    const bomb = encode(Buffer.alloc(30_000_000))
    const coding = encode === gzipSync ? 'gzip' : 'br'
    assertRefused(await post(gateway, bomb, { headers: { 'content-encoding': coding } }), 'IMAGE_TOO_LARGE')
  }
  await until('nothing is held', async () => (await gauge(gateway, 'held_bytes')) === 0)
})

test('D: an address asked with another method says which are possible', async () => {
  const gateway = await shared
  const allowed: Array<[method: string, path: string, allow: string]> = [
    ['GET', '/predict', 'POST'],
    ['DELETE', '/predict?topK=1', 'POST'],
    ['POST', '/models', 'GET, HEAD'],
    ['OPTIONS', '/health/live', 'GET, HEAD'],
    ['PUT', '/admin/dead-letters/1-1', 'DELETE, GET, HEAD']
  ]
  for (const [method, path, allow] of allowed) {
    const reply = await send(gateway.url + path, { method })
    assertRefused(reply, 'METHOD_NOT_ALLOWED', `${method} ${path}`)
    assert.equal(reply.headers.get('allow'), allow)
  }
  assertRefused(await send(`${gateway.url}/admin/dead-letters/1-1/2`, {}), 'NOT_FOUND')
})

test('D: 401 says how, and the scheme may be written in any case', async t => {
  const gateway = await startGateway(t, { API_KEYS: 'alpha' })
  const ask = (authorization: string) => post(gateway, ship, { headers: { authorization } })
  const refused = await ask('Basic alpha')
  assertRefused(refused, 'UNAUTHORIZED')
  assert.match(refused.headers.get('www-authenticate') ?? '', /^Bearer\b/)
  for (const scheme of ['bearer', 'Bearer', 'BEARER']) assertShip(await ask(`${scheme} alpha`), 1)
})

test('D: a client’s x-request-id is on its answer, also on those that come before any route', async t => {
  const gateway = await shared
  const headers = { 'x-request-id': 'order-7' }
  for (const reply of [
    await post(gateway, ship, { headers }),
    await post(gateway, '', { headers }),
    await send(`${gateway.url}/nothing`, { headers }),
    await send(`${gateway.url}/%E0%A4%A`, { headers })
  ]) {
    assert.equal(reply.headers.get('x-request-id'), 'order-7')
    assert.equal((JSON.parse(reply.text) as { requestId: string }).requestId, 'order-7')
  }
  await t.test('on what is no HTTP', async t => {
    const [socket] = openMany(t, gateway, { count: 1, head: 'HELLO\r\n\r\n' }) as [Socket]
    assertRefused(await readReply(socket), 'MALFORMED_REQUEST')
  })
  await t.test('on headers that are too large', async t => {
    const [socket] = openMany(t, gateway, { count: 1, head: `GET / HTTP/1.1\r\nA: ${'x'.repeat(20_000)}` }) as [Socket]
    assertRefused(await readReply(socket), 'HEADERS_TOO_LARGE')
  })
})

const nameless = Buffer.from(
  formOf([{ name: 'image', content: 'x', filename: 'a' }])
    .toString()
    .replace('name="image"; ', '')
)

test('D: unknown names are refused, with the nearest known one', async () => {
  const gateway = await shared
  const image = { name: 'image', content: ship }
  const mistakes: Array<[reply: Promise<Reply>, message: RegExp]> = [
    [post(gateway, ship, { query: '?topk=3' }), /Unknown query parameter "topk"; did you mean topK\?/],
    [post(gateway, ship, { query: '?threshold=0.5' }), /"threshold"; known: topK, model/],
    [postForm(gateway, [image, { name: 'modell', content: 'a' }]), /form field "modell"; did you mean model\?/],
    ...['__proto__', 'constructor', 'toString'].map((name): [Promise<Reply>, RegExp] => [
      postForm(gateway, [image, { name, content: 'x' }]),
      /field of an unknown name, one that every object has/
    ]),
    [post(gateway, nameless, { type: multipart }), /Unknown form field ""/],
    [postForm(gateway, [image, image]), /several images: send one/],
    [postForm(gateway, [image, { name: 'topK', content: 'x' }]), /topK="x" is not valid/],
    [post(gateway, 'x', { type: 'multipart/form-data' }), /names no boundary/],
    [send(`${gateway.url}/admin/dead-letters?limt=3`, operator), /"limt"; did you mean limit\?/]
  ]
  for (const [reply, message] of mistakes) {
    assertRefused(await reply, 'MALFORMED_REQUEST')
    assert.match(messageOf(await reply), message)
  }
})

test('D: topK and model are fields too, and must not contradict the query', async () => {
  const gateway = await shared
  const image = { name: 'image', content: ship }
  const model = (content: string) => postForm(gateway, [image, { name: 'model', content }])
  assertShip(await model('everyday'), 1)
  assertRefused(await model('unknown'), 'MODEL_NOT_FOUND')
  const both = (query: string) =>
    post(gateway, JSON.stringify({ image: ship.toString('base64'), topK: 2 }), { ...json, query })
  assertShip(await both('?topK=2'), 1)
  const reply = await both('?topK=3')
  assertRefused(reply, 'MALFORMED_REQUEST')
  assert.match(messageOf(reply), /topK is 3 in the query and 2 in the body/)
})

test('D: what only looks like a number to JavaScript is no topK', async () => {
  const gateway = await shared
  const image = { name: 'image', content: ship }
  const inJson = (topK: unknown) => post(gateway, JSON.stringify({ image: ship.toString('base64'), topK }), json)
  const inForm = (content: string) => postForm(gateway, [image, { name: 'topK', content }])
  const inQuery = (topK: string) => post(gateway, ship, { query: `?topK=${topK}` })
  for (const topK of ['0x10', '%203', '1e1', '1e309', '3.0', '', '3'.repeat(400)]) {
    for (const reply of [await inQuery(topK), await inForm(decodeURIComponent(topK))]) {
      assertRefused(reply, 'MALFORMED_REQUEST')
      assert.match(messageOf(reply), /^topK="[^"]*"?.* is not valid: must be integer$/)
    }
  }
  for (const topK of [true, null, [3], '0x10']) {
    assertRefused(await inJson(topK), 'MALFORMED_REQUEST')
    assert.match(messageOf(await inJson(topK)), /^topK=.* is not valid: must be integer$/)
  }
  for (const reply of [await inJson(3), await inJson('3'), await inForm('3'), await inQuery('3')]) assertShip(reply, 1)
})

test('D: a path that is no address is not found, or said to be broken', async () => {
  const { url } = await shared
  assertRefused(await send(`${url}/models/${'a'.repeat(500)}`, {}), 'MODEL_NOT_FOUND')
  const broken = await send(`${url}/models/%`, {})
  assertRefused(broken, 'MALFORMED_REQUEST')
  assert.match(messageOf(broken), /path is not valid/)
})

test('D: a long value is not echoed whole', async () => {
  const reply = await post(await shared, ship, { query: `?model=${'m'.repeat(15_000)}` })
  assertRefused(reply, 'MODEL_NOT_FOUND')
  assert.ok(reply.text.length < 500)
})

test('D: a Content-Type that is none is as good as absent', async () => {
  for (const type of [
    'jpeg',
    'image',
    ';;;/',
    '/',
    'image/',
    'a b/c',
    'APPLICATION/OCTET-STREAM',
    'text/html; charset=x'
  ])
    assertShip(await post(await shared, ship, { type }), 1)
})

test('D: a dead letter whose id no stream can have is not there', async () => {
  const { url } = await shared
  for (const entry of ['18446744073709551616-0', '1-99999999999999999999'])
    assertRefused(await send(`${url}/admin/dead-letters/${entry}`, operator), 'NOT_FOUND')
  assertRefused(await send(`${url}/admin/dead-letters/${'9'.repeat(21)}-0`, operator), 'MALFORMED_REQUEST')
})

test('B4: that Redis refuses to tell of workers turns readiness red, with its words', async t => {
  const { url, redis } = await startGateway(t)
  const direct = await openRedis(t, redis.url)
  const ready = () => send(`${url}/health/ready`, {})
  await direct.sendCommand(['ACL', 'SETUSER', 'default', '-xlen'])
  const red = await until('readiness is red', async () => {
    const reply = await ready()
    return reply.status === 503 ? reply : undefined
  })
  assert.match(red.text, /everyday can't be seen: .*NOPERM.*xlen/)
  await direct.sendCommand(['ACL', 'SETUSER', 'default', '+xlen'])
  await until('it is green again', async () => (await ready()).status === 200)
})

for (const command of ['evalsha', 'subscribe'])
  test(`B4: a gateway whose role lacks ${command.toUpperCase()} is not ready once a request was refused`, async t => {
    const { url, redis } = await startGateway(t)
    const direct = await openRedis(t, redis.url)
    const ready = () => send(`${url}/health/ready`, {})
    await direct.sendCommand(['ACL', 'SETUSER', 'default', `-${command}`])
    assertRefused(await post({ url }, ship), 'BROKER_UNAVAILABLE')
    const red = await ready()
    assert.equal(red.status, 503)
    assert.match(red.text, new RegExp(`Redis refuses to .*NOPERM.*${command}`))
    await direct.sendCommand(['ACL', 'SETUSER', 'default', `+${command}`])
    assertShip(await post({ url }, ship), 1)
    assert.equal((await ready()).status, 200)
  })

test('F: a client that leaves is a 499 in the metrics too', async t => {
  const gateway = await startGateway(t)
  const [socket] = openMany(t, gateway, { count: 1, head: `${headOf(1_000)}x` }) as [Socket]
  await until('it is there', async () => (await gauge(gateway, 'uploads')) === 1)
  socket.destroy()
  await until('it is counted', async () =>
    (await metrics(gateway)).includes('streamsight_requests_total{route="/predict",status="499",code="client_left"} 1')
  )
})

test('F: a red health is no ok, errors that never happened are 0, latency has its status', async t => {
  const gateway = await startGateway(t)
  assertShip(await post(gateway, ship), 1)
  assertRefused(await post(gateway, 'x'), 'UNSUPPORTED_IMAGE')
  const text = await metrics(gateway)
  for (const [code, { status }] of Object.entries(errorTable))
    assert.ok(text.includes(`streamsight_requests_total{route="/predict",status="${status}",code="${code}"} `), code)
  for (const status of ['2xx', '4xx'])
    assert.ok(text.includes(`streamsight_request_seconds_count{route="/predict",status="${status}"} 1`), status)
})

test('F: what was seen of the workers is not shown while Redis is away', async t => {
  const gateway = await startGateway(t)
  assert.match(await metrics(gateway), /streamsight_workers_ready\{model="everyday"\} 1/)
  await gateway.redis.stop()
  await until('the gauges are gone', async () => !(await metrics(gateway)).includes('streamsight_workers_ready{'))
  await until('it is red', async () => (await send(`${gateway.url}/health/ready`, {})).status === 503)
  assert.match(await metrics(gateway), /route="\/health\/ready",status="503",code="unavailable"/)
})

const operator = { headers: { authorization: 'Bearer operator' } }

function brotli(body: Buffer): Buffer {
  return brotliCompressSync(body, { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } })
}

function headOf(bytes: number): string {
  return `POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: ${bytes}\r\n\r\n`
}

interface Opening {
  count: number
  head: string
}

function openMany(t: { after: (end: () => void) => void }, gateway: TestGateway, { count, head }: Opening): Socket[] {
  const sockets = Array.from({ length: count }, () => connect(gateway.port, '127.0.0.1'))
  for (const socket of sockets) socket.on('error', () => {}).write(head)
  t.after(() => sockets.forEach(socket => socket.destroy()))
  return sockets
}

/** Nothing is held, and the gateway has closed every connection of these. */
async function untilGone(gateway: TestGateway, sockets: Socket[]): Promise<void> {
  for (const socket of sockets) socket.resume()
  await until('no upload is left', async () => (await gauge(gateway, 'uploads')) === 0)
  await until('no connection is left', () =>
    sockets.every(({ readableEnded, destroyed }) => readableEnded || destroyed)
  )
  assert.equal(await gauge(gateway, 'held_bytes'), 0)
  assert.equal(await gauge(gateway, 'in_flight'), 0)
}

async function metrics(gateway: TestGateway): Promise<string> {
  return (await send(`${gateway.url}/metrics`, {})).text
}

async function gauge(gateway: TestGateway, name: string): Promise<number> {
  return Number(new RegExp(`^streamsight_${name} (\\d+)$`, 'm').exec(await metrics(gateway))?.[1])
}

function messageOf({ text }: Reply): string {
  return (JSON.parse(text) as { error: { message: string } }).error.message
}

function assertRefused({ status, headers, text }: Reply, code: ErrorCode, what = ''): void {
  const { error, requestId } = JSON.parse(text) as { error: { code: string }; requestId: string }
  assert.deepEqual([error.code, status], [code, errorTable[code].status], `${what}: ${text.slice(0, 500)}`)
  assert.equal(headers.get('x-request-id'), requestId)
  assert.notEqual(requestId, 'none')
}

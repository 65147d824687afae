import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import * as fc from 'fast-check'
import { assertShip, chunked, formOf, multipart, post } from './support/client.ts'
import { startGateway } from './support/gateway.ts'
import { openRedis } from './support/redis.ts'
import { fixture } from './support/system.ts'
import { until } from './support/until.ts'

const ship = fixture('ship.jpg')

/** Short times, so that the timeouts take part; few places, so that one that is lost is missed. */
const shared = startGateway(
  { after: end => after(end as () => Promise<void>) },
  { MIN_UPLOAD_GRACE_MS: '200', MAX_UPLOADS: '6', MAX_IN_FLIGHT: '4', REQUEST_TIMEOUT_MS: '2000' }
)

/** How a client may ask. */
const requests: Record<string, Buffer> = {
  raw: requestOf(ship),
  form: requestOf(formOf([{ name: 'image', content: ship }]), [`Content-Type: ${multipart}`]),
  JSON: requestOf(Buffer.from(JSON.stringify({ image: ship.toString('base64') })), ['Content-Type: application/json']),
  chunked: Buffer.concat([headOf(['Transfer-Encoding: chunked']), chunked(ship)]),
  'broken chunks': Buffer.concat([headOf(['Transfer-Encoding: chunked']), Buffer.from('5\r\nabcdeXX')]),
  'no image': requestOf(Buffer.from('hello')),
  'an unknown model': requestOf(ship, [], '/predict?model=unknown'),
  'too large': Buffer.concat([headOf(['Content-Length: 99999999']), ship]),
  'not decoded': requestOf(ship, ['Content-Encoding: zstd']),
  'not gzip': requestOf(ship, ['Content-Encoding: gzip']),
  nowhere: requestOf(ship, [], '/nowhere'),
  'health with a body': Buffer.from('GET /health/live HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\nhello'),
  'no HTTP': Buffer.from('HELLO\r\n\r\n')
}

const client = fc.record({
  /** Several are pipelined. */
  asks: fc.array(fc.constantFrom(...Object.keys(requests)), { minLength: 1, maxLength: 4 }),
  /** Part of the bytes that is sent before the end. */
  share: fc.oneof(fc.constant(1), fc.double({ min: 0, max: 1, noNaN: true })),
  /** Bytes sent in one go; 1 for the first 50, then the rest. */
  pieceBytes: fc.constantFrom(1, 700, 100_000_000),
  end: fc.constantFrom('reset', 'destroy', 'half-close', 'silence', 'answers'),
  pauseMs: fc.nat(30)
})
type Client = typeof client extends fc.Arbitrary<infer T> ? T : never

/** With the error, which says what was held: fast-check keeps it in a cause that test reports leave out. */
function reporter(details: fc.RunDetails<[Client[]]>): void {
  if (details.failed) assert.fail(`${String(details.errorInstance)}\n${fc.stringify(details.counterexample)}`)
}

test('A1: whatever way requests end, nothing of them is held', { timeout: 180_000 }, async () => {
  const gateway = await shared
  await fc.assert(
    fc.asyncProperty(fc.array(client, { minLength: 1, maxLength: 8 }), async clients => {
      await Promise.all(clients.map(each => play(gateway.port, each)))
      await until('nothing is held', async () => Object.values(await held()).every(n => n === 0)).catch(async () =>
        assert.fail(`still held: ${JSON.stringify(await held())}`)
      )
    }),
    { numRuns: 25, endOnFailure: true, reporter }
  )
  assertShip(await post(gateway, ship), 1)

  /** What is held but for the connection that asks. */
  async function held(): Promise<Record<string, number>> {
    const text = await (await fetch(`${gateway.url}/metrics`, { headers: { connection: 'close' } })).text()
    const gauge = (name: string) => Number(new RegExp(`^streamsight_${name} (\\d+)$`, 'm').exec(text)?.[1])
    const names = ['held_bytes', 'uploads', 'in_flight', 'open_requests']
    return { ...Object.fromEntries(names.map(name => [name, gauge(name)])), connections: gauge('connections') - 1 }
  }
})

async function play(port: number, { asks, share, pieceBytes, end, pauseMs }: Client): Promise<void> {
  const bytes = Buffer.concat(asks.map(ask => requests[ask] ?? Buffer.alloc(0)))
  const sent = bytes.subarray(0, Math.ceil(bytes.length * share))
  const socket = connect(port, '127.0.0.1').on('error', () => {})
  let answered = 0
  socket.on('data', chunk => {
    answered += String(chunk).split('HTTP/1.1 ').length - 1
  })
  for (let at = 0, pieces = 0; at < sent.length && socket.writable; pieces++) {
    const piece = pieces > 50 ? sent.length : pieceBytes
    socket.write(sent.subarray(at, at + piece))
    at += piece
    if (pieceBytes === 1) await sleep(1)
  }
  await sleep(pauseMs)
  if (end === 'reset') socket.resetAndDestroy()
  if (end === 'destroy') socket.destroy()
  if (end === 'half-close') socket.end()
  // Some ask for less than they declare, and wait for what will not come.
  for (let waits = 0; end === 'answers' && answered < asks.length && !socket.readableEnded && waits < 50; waits++)
    await sleep(20)
  // Those that are cut off by the gateway are gone by themselves; any other goes when it has seen enough.
  if (end === 'silence') await Promise.race([new Promise(resolve => socket.once('close', resolve)), sleep(600)])
  if (end !== 'half-close') socket.destroy()
  else await Promise.race([new Promise(resolve => socket.once('close', resolve)), sleep(3_000)])
  socket.destroy()
  assert.ok(answered <= asks.length, 'nobody is answered more often than he asked')
}

function headOf(fields: string[], path = '/predict'): Buffer {
  return Buffer.from(`POST ${path} HTTP/1.1\r\nHost: a\r\n${fields.map(field => `${field}\r\n`).join('')}\r\n`)
}

function requestOf(body: Buffer, fields: string[] = [], path = '/predict'): Buffer {
  return Buffer.concat([headOf([`Content-Length: ${body.length}`, ...fields], path), body])
}

test('requests that were in line on a connection are forgotten when it closes', { timeout: 60_000 }, async t => {
  const { app, port, redis } = await shared
  const direct = await openRedis(t, redis.url)
  const requests: Array<WeakRef<object>> = []
  const keep = (request: object) => void requests.push(new WeakRef(request))
  app.server.on('request', keep)
  t.after(() => app.server.off('request', keep))

  await direct.sendCommand(['CLIENT', 'PAUSE', '1000', 'ALL'])
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  const inLine = 'GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(50)
  socket.write(Buffer.concat([requestOf(ship), Buffer.from(inLine)]))
  await until('all of them are open', () => requests.length === 51)
  socket.destroy()
  await until('they are gone', () => {
    collectGarbage()
    return requests.filter(request => request.deref() !== undefined).length < 5
  })
})

/** As `node --expose-gc` has it, for this process as it runs. */
function collectGarbage(): void {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
}

test('A: requests without end in line on one connection end it, and are not answered', { timeout: 60_000 }, async t => {
  const { port, url } = await shared
  const socket = connect(port, '127.0.0.1')
  t.after(() => socket.destroy())
  socket.on('error', () => {})
  socket.pause()
  let closed = false
  socket.once('close', () => {
    closed = true
  })
  const before = await answered(url)
  socket.write('GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(3_000))
  await until('the connection is closed', () => {
    socket.resume()
    return closed
  })
  assert.ok((await answered(url)) - before < 300)
})

/** GET /metrics that were answered with 200. */
async function answered(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text()
  return Number(/requests_total\{route="\/metrics",status="200",code="ok"\} (\d+)/.exec(text)?.[1] ?? 0)
}

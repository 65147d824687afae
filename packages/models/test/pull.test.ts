import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import type { CatalogEntry } from '../src/pull/catalog.ts'
import { openModel, verifyModel } from '../src/index.ts'
import { createNetwork, type NetworkOptions } from '../src/pull/http.ts'
import { pullModel, type PullOptions } from '../src/pull/pull.ts'
import { startFileServer, startProxy, type Asked, type Fault } from './file-server.ts'
import { entryOf, everyday, everydayFiles, filesIn, temporaryFolder } from './models.ts'

const onnx = '/model.onnx'
const half = 1_500_000

/** A server with everyday's ONNX file and labels, an entry for them, and a folder to pull into. */
async function bench(
  t: TestContext,
  fault?: (asked: Asked) => Fault | undefined,
  { network: networkOptions, ...rest }: { network?: NetworkOptions } & Partial<Omit<PullOptions, 'network'>> = {}
) {
  const files = everydayFiles('model.onnx', 'labels.txt')
  const server = await startFileServer(t, { ...files }, fault)
  const modelsDir = temporaryFolder(t)
  const network = createNetwork(networkOptions)
  t.after(() => network.close())
  const retries: string[] = []
  const entry = entryOf(server.url, files)
  const options: PullOptions = {
    modelsDir,
    network,
    retry: { attempts: 3, firstPauseMs: 1 },
    onRetry: reason => retries.push(reason),
    ...rest
  }
  return {
    server,
    modelsDir,
    entry,
    retries,
    options,
    pull: (change: Partial<PullOptions> = {}) => pullModel(entry, { ...options, ...change })
  }
}

/** The model is whole, as published, and nothing else is left. */
async function assertPulled(modelsDir: string, files = ['labels.txt', 'manifest.json', 'model.onnx']): Promise<void> {
  for await (const { path, fault } of verifyModel(modelsDir, 'pulled')) assert.equal(fault, undefined, path)
  assert.deepEqual(readFileSync(join(modelsDir, 'pulled/model.onnx')), readFileSync(join(everyday, 'model.onnx')))
  assert.deepEqual(
    filesIn(modelsDir),
    files.map(file => `pulled/${file}`)
  )
}

function assertNoModel(modelsDir: string): void {
  assert.deepEqual(
    filesIn(modelsDir).filter(file => !file.startsWith('.downloads/')),
    []
  )
}

/** Pulls until the file stalls half-way, as `first(onnx, { kind: 'stall', … })` makes it, and is stopped there. */
async function pullHalf(entry: CatalogEntry, options: PullOptions): Promise<void> {
  const stop = new AbortController()
  const reason = new Error('stopped')
  await assert.rejects(
    pullModel(entry, {
      ...options,
      signal: stop.signal,
      onProgress: received => {
        if (received >= half) stop.abort(reason)
      }
    }),
    reason
  )
}

/** Once for the first request of the file. */
const first = (path: string, fault: Fault) => (asked: Asked) =>
  asked.path === path && asked.index === 0 ? fault : undefined

test('a model is pulled with what the catalog says of it, and the downloads are gone', async t => {
  const { modelsDir, pull } = await bench(t)
  const pulled = await pull()
  assert.equal(pulled.state, 'pulled')
  const { manifest, labels } = await openModel(modelsDir, 'pulled')
  const { version, license, source, output, input } = manifest
  assert.deepEqual(
    { version, license, source, output },
    { version: '7', license: 'MIT', source: 'a test', output: { activation: 'softmax', classes: 10 } }
  )
  assert.deepEqual({ width: input.width, height: input.height }, { width: 32, height: 32 })
  assert.equal(labels[8], 'ship')
  await assertPulled(modelsDir)
})

test('progress starts at what is here, never passes the total, and ends with it', async t => {
  const { entry, options } = await bench(t)
  const seen: number[] = []
  await pullModel(entry, {
    ...options,
    onProgress: (received, total) => {
      seen.push(received)
      assert.equal(
        total,
        entry.files.reduce((sum, { bytes }) => sum + bytes, 0)
      )
    }
  })
  assert.equal(seen[0], 0)
  assert.deepEqual(
    seen,
    seen.toSorted((a, b) => a - b)
  )
  assert.equal(
    seen.at(-1),
    entry.files.reduce((sum, { bytes }) => sum + bytes, 0)
  )
})

test('a server that fails twice is asked again', async t => {
  const { server, modelsDir, retries, pull } = await bench(t, ({ path, index }) =>
    path === onnx && index < 2 ? { kind: 'status', status: 500 } : undefined
  )
  await pull()
  assert.equal(server.of(onnx).length, 3)
  assert.deepEqual(
    retries,
    Array.from({ length: 2 }, () => `${server.url}${onnx}: the server answers 500`)
  )
  await assertPulled(modelsDir)
})

test('a server that always fails is given up after so many attempts', async t => {
  const { server, modelsDir, pull } = await bench(t, ({ path }) =>
    path === onnx ? { kind: 'status', status: 503 } : undefined
  )
  await assert.rejects(pull(), {
    code: 'DOWNLOAD',
    message: `${server.url}${onnx}: the server answers 503; given up after 3 attempts, what is here is kept`
  })
  assert.equal(server.of(onnx).length, 3)
  assertNoModel(modelsDir)
})

test('after a cut it goes on where it was, and only of the same file', async t => {
  const { server, modelsDir, pull } = await bench(t, first(onnx, { kind: 'cut', after: half }))
  await pull()
  const [, again] = server.of(onnx)
  const from = Number(/^bytes=(\d+)-$/.exec(again?.range ?? '')?.[1])
  assert.ok(from > 0 && from <= half, `${from}`)
  assert.match(again?.ifRange ?? '', /^"[0-9a-f]{16}"$/)
  await assertPulled(modelsDir)
})

// What is in the buffers of a connection that breaks is lost, some 200 kB: less than that each time would be no progress.
test('a connection that breaks again and again still brings a file that gets longer each time', async t => {
  const { server, modelsDir, pull } = await bench(t, ({ path }) =>
    path === onnx ? { kind: 'cut', after: 800_000 } : undefined
  )
  await pull()
  assert.ok(server.of(onnx).length > 4, 'more attempts than would be allowed without progress')
  await assertPulled(modelsDir)
})

test('an abort leaves no model; the next pull asks for the rest alone', async t => {
  const { server, modelsDir, entry, options } = await bench(t, first(onnx, { kind: 'stall', after: half }))
  await pullHalf(entry, options)
  assertNoModel(modelsDir)
  const part = readFileSync(join(modelsDir, '.downloads/pulled-7/model.onnx.part'))
  assert.ok(part.length > 0)

  const seen: number[] = []
  await pullModel(entry, { ...options, onProgress: received => seen.push(received) })
  assert.equal(server.of(onnx).at(-1)?.range, `bytes=${part.length}-`)
  assert.ok((seen[0] ?? 0) >= part.length)
  await assertPulled(modelsDir)
})

test('a file that changed meanwhile is fetched anew', async t => {
  const { server, modelsDir, entry, options } = await bench(t, first(onnx, { kind: 'stall', after: half }))
  const published = server.files[onnx] as Buffer
  server.files[onnx] = Buffer.alloc(published.length, 'another file')
  await pullHalf(entry, options)
  server.files[onnx] = published
  await pullModel(entry, options)
  assert.notEqual(server.of(onnx).at(-1)?.range, undefined, 'it asked for the rest, but got the new file')
  await assertPulled(modelsDir)
})

test('a server without ranges sends it anew', async t => {
  const { server, modelsDir, pull } = await bench(t, first(onnx, { kind: 'cut', after: half }))
  server.traits.ranges = false
  await pull()
  assert.equal(server.of(onnx).length, 2)
  await assertPulled(modelsDir)
})

test('without a name for its content, no part of a file is trusted', async t => {
  const { server, modelsDir, pull } = await bench(t, first(onnx, { kind: 'cut', after: half }))
  server.traits.validators = false
  await pull()
  assert.deepEqual(
    server.of(onnx).map(({ range }) => range),
    [undefined, undefined]
  )
  await assertPulled(modelsDir)
})

test('a range that begins elsewhere, or that the server does not have, is not taken', async t => {
  for (const headers of [{ status: 206, 'content-range': 'bytes 7-9/10' }, { status: 416 }]) {
    const { status, ...rest } = headers
    const { server, modelsDir, pull } = await bench(t, ({ path, index }) =>
      path !== onnx
        ? undefined
        : index === 0
          ? { kind: 'cut', after: half }
          : index === 1
            ? { kind: 'status', status, headers: rest as Record<string, string> }
            : undefined
    )
    await pull()
    assert.deepEqual(
      server.of(onnx).map(({ range }) => range !== undefined),
      [false, true, false]
    )
    await assertPulled(modelsDir)
  }
})

test('a wrong digest is an error that names file and digests; the bad file is removed', async t => {
  const { server, modelsDir, entry, options } = await bench(t)
  const published = server.files[onnx] as Buffer
  server.files[onnx] = Buffer.from(published).fill(7, 1_000, 1_001)
  await assert.rejects(
    pullModel(entry, options),
    ({ code, message }: Error & { code: string }) =>
      code === 'DOWNLOAD' &&
      message.startsWith(`${server.url}${onnx}: sha256 `) &&
      message.includes(`the catalog says ${entry.files[0]?.sha256}`)
  )
  assertNoModel(modelsDir)
  assert.equal(existsSync(join(modelsDir, '.downloads/pulled-7/model.onnx.part')), false)
  assert.equal(existsSync(join(modelsDir, '.downloads/pulled-7/model.onnx')), false)
  server.files[onnx] = published
  await pullModel(entry, options)
  await assertPulled(modelsDir)
})

test('an md5 is checked where the catalog has no sha256', async t => {
  const { server, modelsDir, entry, options } = await bench(t)
  const [model, labels] = entry.files as [CatalogEntry['files'][number], CatalogEntry['files'][number]]
  const withMd5 = (md5: string): CatalogEntry => ({
    ...entry,
    files: [model, { url: labels.url, bytes: labels.bytes, md5 }]
  })
  await assert.rejects(pullModel(withMd5('0'.repeat(32)), options), ({ message }: Error) =>
    message.startsWith(`${server.url}/labels.txt: md5 `)
  )
  await pullModel(
    withMd5(
      createHash('md5')
        .update(readFileSync(join(everyday, 'labels.txt')))
        .digest('hex')
    ),
    options
  )
  await assertPulled(modelsDir)
})

test('a part that was damaged on this disk is noticed, and the file fetched anew without asking', async t => {
  const { server, modelsDir, entry, options } = await bench(t, first(onnx, { kind: 'stall', after: half }))
  await pullHalf(entry, options)
  const path = join(modelsDir, '.downloads/pulled-7/model.onnx.part')
  const part = readFileSync(path)
  writeFileSync(path, part.fill(0, 500, 600))
  await pullModel(entry, options)
  assert.deepEqual(
    server.of(onnx).map(({ range }) => range !== undefined),
    [false, true, false]
  )
  await assertPulled(modelsDir)
})

test('a wrong size is an error that names file and sizes, whether the server says it or just sends more', async t => {
  for (const fault of [undefined, { kind: 'chunked' }] as const) {
    const { server, modelsDir, pull } = await bench(t, () => fault)
    server.files['/labels.txt'] = Buffer.from('airplane\n'.repeat(100_000))
    await assert.rejects(pull(), {
      code: 'DOWNLOAD',
      message: new RegExp(`^${server.url}/labels\\.txt: is (900000|longer than the 60) bytes`)
    })
    assertNoModel(modelsDir)
  }
})

test('a stalled body is given up and gone on with', async t => {
  const { server, modelsDir, retries, pull } = await bench(t, first(onnx, { kind: 'stall', after: half }), {
    network: { stallMs: 200 }
  })
  await pull()
  assert.deepEqual(retries, [`${new URL(server.url).host} sent nothing for 0.2 s`])
  assert.notEqual(server.of(onnx).at(-1)?.range, undefined)
  await assertPulled(modelsDir)
})

test('a file that is gone is an error at once that says so, and ends the other downloads', async t => {
  const { server, modelsDir, pull } = await bench(t, first(onnx, { kind: 'stall', after: half }))
  delete server.files['/labels.txt']
  await assert.rejects(pull(), {
    code: 'DOWNLOAD',
    message: `${server.url}/labels.txt: there is no such file (404): the catalog may be out of date`
  })
  assert.equal(server.of('/labels.txt').length, 1)
  assertNoModel(modelsDir)
})

test('a host that is not there is named, and that a proxy can be set', async t => {
  const { server, entry, options } = await bench(t)
  const elsewhere = (url: string): CatalogEntry => ({
    ...entry,
    files: entry.files.map(file => ({ ...file, url: file.url.replace(server.url, url) }))
  })
  await assert.rejects(pullModel(elsewhere('http://no-such-host.invalid'), options), ({ message }: Error) =>
    /^can't reach no-such-host\.invalid \((ENOTFOUND|EAI_AGAIN)\); if this network needs a proxy, set HTTPS_PROXY=/.test(
      message
    )
  )
  // Port 9 discards; nobody listens there.
  await assert.rejects(
    pullModel(elsewhere('http://127.0.0.1:9'), options),
    /^Error: can't reach 127\.0\.0\.1:9 \(ECONNREFUSED\)/
  )
})

test('a proxy is used where one is set, but not for the hosts that are left out', async t => {
  const proxy = await startProxy(t)
  const { server, modelsDir, pull } = await bench(t, undefined, { network: { httpProxy: proxy.url } })
  await pull()
  assert.deepEqual(proxy.seen.toSorted(), [`GET ${server.url}/labels.txt`, `GET ${server.url}${onnx}`])
  await assertPulled(modelsDir)

  const direct = await bench(t, undefined, { network: { httpProxy: proxy.url, noProxy: '127.0.0.1' } })
  await direct.pull()
  assert.equal(proxy.seen.length, 2)
})

test('a proxy that wants a password, is not there or is no address, is an error that says so', async t => {
  const proxy = await startProxy(t, { status: 407 })
  const locked = await bench(t, undefined, { network: { httpProxy: proxy.url } })
  await assert.rejects(locked.pull(), /407/)
  const gone = await bench(t, undefined, { network: { httpProxy: 'http://127.0.0.1:9' } })
  await assert.rejects(
    gone.pull(),
    /^.*can't reach 127\.0\.0\.1:\d+ \(ECONNREFUSED\) through the proxy that HTTPS_PROXY or HTTP_PROXY names/
  )
  assert.throws(() => createNetwork({ httpProxy: 'proxy:3128' }), {
    code: 'DOWNLOAD',
    message: /^HTTP_PROXY is not the address of a proxy/
  })
})

test('a redirect is followed, and a resumed download follows it again', async t => {
  const { server, modelsDir, entry, options } = await bench(t, ({ path, index }) => {
    if (path === '/moved') return { kind: 'status', status: 302, headers: { location: onnx } }
    return path === onnx && index === 0 ? { kind: 'cut', after: half } : undefined
  })
  const [model, ...others] = entry.files
  await pullModel(
    { ...entry, files: [{ bytes: 0, ...model, url: `${server.url}/moved`, as: 'model.onnx' }, ...others] },
    options
  )
  assert.equal(server.of('/moved').length, 2)
  assert.notEqual(server.of(onnx)[1]?.range, undefined)
  await assertPulled(modelsDir)
})

test('a model that is there and whole is not pulled again; a damaged or older one only with force', async t => {
  const { server, modelsDir, entry, options, pull } = await bench(t)
  await pull()
  const asked = server.requests.length
  assert.equal((await pull()).state, 'present')
  assert.equal(server.requests.length, asked)

  await assert.rejects(pullModel({ ...entry, version: '8' }, options), {
    code: 'MODEL',
    message: `${join(modelsDir, 'pulled')} is version 7, the catalog has 8; pull with --force to replace it`
  })
  writeFileSync(join(modelsDir, 'pulled/model.onnx'), 'damaged')
  await assert.rejects(pull(), {
    code: 'MODEL',
    message: /model\.onnx: 7 bytes, the manifest says \d+; pull with --force to replace it$/
  })
  assert.equal((await pull({ force: true })).state, 'pulled')
  await assertPulled(modelsDir)
})

test('a disk without room is an error before anything is asked for', async t => {
  const { server, entry, options } = await bench(t)
  const huge = { ...entry, files: entry.files.map(file => ({ ...file, bytes: 10 ** 15 })) }
  await assert.rejects(pullModel(huge, options), {
    code: 'DOWNLOAD',
    message: /6000000000 MB are needed, but the disk has only \d+ MB left/
  })
  assert.equal(server.requests.length, 0)
})

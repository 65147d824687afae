import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { CatalogEntry } from '../src/pull/catalog.ts'
import { createNetwork } from '../src/pull/http.ts'
import { pullModel } from '../src/pull/pull.ts'
import { startProxy } from './file-server.ts'
import { assertNoModel, assertPulled, bench, first, half, onnx } from './pull-bench.ts'

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

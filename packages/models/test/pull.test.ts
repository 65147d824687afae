import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { CatalogEntry } from '../src/pull/catalog.ts'
import { openModel } from '../src/index.ts'
import { pullModel } from '../src/pull/pull.ts'
import { everyday } from './models.ts'
import { assertNoModel, assertPulled, bench, first, half, onnx, pullHalf } from './pull-bench.ts'

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
  assert.equal(labels[8]?.label, 'ship')
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

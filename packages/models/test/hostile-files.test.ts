import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { inspectGuarded } from '../src/import/guard.ts'
import { bench, fails } from './imports.ts'
import { everyday, filesIn, temporaryFolder } from './models.ts'
import { writeOnnxFile } from './onnx-models.ts'

/** A folder with a secret of 60 bytes beside that of the model, as many as the model's weights have. */
function benchWithSecret(t: TestContext) {
  const secretFolder = temporaryFolder(t)
  const secret = join(secretFolder, 'secret')
  writeFileSync(secret, 'x'.repeat(60))
  return { ...bench(t), secret, secretFolder }
}

const named: Array<[string, (path: string, t: TestContext) => Promise<void> | void, RegExp]> = [
  ['a named pipe', path => void execFileSync('mkfifo', [path]), /is a named pipe, not a file/],
  ['a device', path => symlinkSync('/dev/zero', path), /is a device, not a file/],
  ['a folder', path => void mkdirSync(path), /no model in this folder/],
  [
    'a socket',
    async (path, t) => {
      const server = createServer().listen(path)
      t.after(() => server.close())
      await new Promise(resolve => server.once('listening', resolve))
    },
    /a socket or pipe, not a file/
  ]
]
for (const [what, make, message] of named) {
  test(`A7: ${what} that is called model.onnx is refused and never waited for`, async t => {
    const { from, importFrom } = bench(t)
    await make(join(from, 'model.onnx'), t)
    await assert.rejects(importFrom('model.onnx', { name: 'x' }), fails(message))
  })
}

const places: Array<[string, (bench: ReturnType<typeof benchWithSecret>) => string, RegExp]> = [
  [
    'is a symbolic link',
    ({ from, secret }) => {
      symlinkSync(secret, join(from, 'weights.bin'))
      return 'weights.bin'
    },
    /weights\.bin: is a symbolic link, or lies behind one/
  ],
  [
    'lies behind a linked folder',
    ({ from, secretFolder }) => {
      symlinkSync(secretFolder, join(from, 'weights'))
      return 'weights/secret'
    },
    /weights\/secret: is a symbolic link, or lies behind one/
  ],
  ['is given by an absolute path', ({ secret }) => secret, /only files beside the model or below it/],
  [
    'is given by a path that climbs',
    ({ secretFolder }) => `sub/../../${secretFolder.split('/').at(-1)}/secret`,
    /only files beside the model or below it/
  ],
  [
    'is a named pipe',
    ({ from }) => {
      execFileSync('mkfifo', [join(from, 'pipe')])
      return 'pipe'
    },
    /pipe: is a named pipe, not a file/
  ]
]
for (const [what, place, message] of places) {
  test(`A6: an ONNX file whose weights' file ${what} reads nothing of it`, async t => {
    const made = benchWithSecret(t)
    writeOnnxFile(join(made.from, 'made.onnx'), { external: place(made) })
    await assert.rejects(made.importFrom('made.onnx'), fails(message))
    assert.deepEqual(filesIn(made.modelsDir), [])
  })

  test(`A6: a TensorFlow.js shard that ${what} is not read`, async t => {
    const made = benchWithSecret(t)
    cpSync(everyday, made.from, { recursive: true, filter: path => !path.endsWith('weights.bin') })
    const model = JSON.parse(readFileSync(join(made.from, 'model.json'), 'utf8')) as {
      weightsManifest: Array<{ paths: string[] }>
    }
    for (const group of model.weightsManifest) group.paths = [place(made)]
    writeFileSync(join(made.from, 'model.json'), JSON.stringify(model))
    await assert.rejects(made.importFrom('model.json', { name: 'x' }), fails(message))
    assert.deepEqual(filesIn(made.modelsDir), [])
  })
}

test('a file that claims more than there is, or nests without end, is refused', async t => {
  const { from, importFrom } = bench(t)
  // A graph field of 2^40 bytes; and a graph in an attribute in a node in a graph …, each 4 bytes longer than the next.
  writeFileSync(join(from, 'claims.onnx'), Buffer.from('3a808080808020', 'hex'))
  await assert.rejects(importFrom('claims.onnx'), fails(/not an ONNX model, or damaged/))
  const nested = Array.from({ length: 3_000 }).reduce<Buffer>(
    inner => field(1, field(5, field(6, inner))),
    Buffer.alloc(0)
  )
  writeFileSync(join(from, 'nested.onnx'), field(7, nested))
  await assert.rejects(importFrom('nested.onnx'), fails(/nested\.onnx: .*(damaged|no graph)/))
})

function field(number: number, content: Buffer): Buffer {
  const length: number[] = []
  for (let rest = content.length; ; rest >>= 7) {
    length.push(rest > 127 ? (rest & 127) | 128 : rest)
    if (rest <= 127) return Buffer.concat([Buffer.from([number * 8 + 2, ...length]), content])
  }
}

test('what a message quotes of a file has no line ends and nothing that a terminal obeys', async t => {
  const { from, importFrom } = bench(t)
  writeFileSync(join(from, 'model.json'), '{"a\n\u001B[31m\r\n": tr\n}')
  await assert.rejects(importFrom('model.json', { name: 'x' }), fails(/^\P{Cc}+model\.json: not JSON: \P{Cc}+$/u))
})

test('a reading that takes too long, or too much memory, is ended with a plain error', async t => {
  const path = join(temporaryFolder(t), 'made.onnx')
  writeOnnxFile(path)
  const limits = { ms: 1e9, bytes: 1e12 }
  await assert.rejects(
    inspectGuarded(path, {}, { limits: { ...limits, ms: 0 } }),
    fails(/made\.onnx: not understood within 0 s: it is damaged, or made to keep us busy/)
  )
  await assert.rejects(
    inspectGuarded(path, {}, { limits: { ...limits, bytes: -1e12 } }),
    fails(/made\.onnx: needs more than .* MB to be understood/)
  )
  const reason = new Error('stopped')
  await assert.rejects(inspectGuarded(path, {}, { limits, signal: AbortSignal.abort(reason) }), reason)
})

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { appendFileSync, cpSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { generate } from 'selfsigned'
import {
  listen,
  startFileServer,
  startProxy,
  type Asked,
  type Fault
} from '../../../packages/models/test/file-server.ts'
import {
  entryOf,
  everyday,
  everydayFiles,
  filesIn,
  root,
  temporaryFolder
} from '../../../packages/models/test/models.ts'
import { until } from '../../../test/support/until.ts'
import { runCommand, startCommand } from './command.ts'

const half = 1_500_000

/** A download server with the model everyday, a catalog that names it, and an empty folder of models. */
async function bench(t: TestContext, fault?: (asked: Asked) => Fault | undefined) {
  const files = everydayFiles('model.onnx', 'labels.txt')
  const server = await startFileServer(t, files, fault)
  const [folder, modelsDir] = [temporaryFolder(t), temporaryFolder(t)]
  const catalog = join(folder, 'catalog.json')
  writeFileSync(catalog, JSON.stringify({ models: [entryOf(server.url, files)] }))
  return {
    server,
    modelsDir,
    catalog,
    files,
    pullArgs: ['pull', 'pulled', '--models-dir', modelsDir, '--catalog', catalog]
  }
}

const stallOnce = ({ path, index }: Asked): Fault | undefined =>
  path === '/model.onnx' && index === 0 ? { kind: 'stall', after: half } : undefined

/** A pull whose model file stalled half-way, with that half on the disk. */
async function pullHalf(t: TestContext, { modelsDir, pullArgs }: Awaited<ReturnType<typeof bench>>) {
  const command = startCommand(t, pullArgs)
  const part = join(modelsDir, '.downloads/pulled-7/model.onnx.part')
  await until(`half of the file is here\n${command.output}`, () => existsSync(part) && statSync(part).size >= half)
  return command
}

function assertNoModel(modelsDir: string): void {
  assert.deepEqual(
    filesIn(modelsDir).filter(file => !file.startsWith('.downloads/')),
    []
  )
}

/** The model is whole, and nothing else is left. */
function assertPulled(modelsDir: string): void {
  assert.deepEqual(filesIn(modelsDir), ['pulled/labels.txt', 'pulled/manifest.json', 'pulled/model.onnx'])
  assert.deepEqual(readFileSync(join(modelsDir, 'pulled/model.onnx')), readFileSync(join(everyday, 'model.onnx')))
}

test('without a command the help is shown, with all commands and examples', async t => {
  const { code, output, complaint } = await runCommand(t, [])
  assert.equal(code, 0)
  for (const command of ['list', 'pull', 'import', 'try', 'check', 'show', 'verify', 'remove'])
    assert.match(output, new RegExp(`^ {2}${command} `, 'm'))
  assert.match(output, /npm run model -- pull resnet50/)
  assert.equal(complaint, '')
})

test('the help of import says what each preset does', async t => {
  const { code, output } = await runCommand(t, ['import', '--help'])
  assert.equal(code, 0)
  assert.match(output, /^ {2}keras-caffe +BGR, scale 1, mean 103\.939,116\.779,123\.68, std 1,1,1; fill, nearest$/m)
  assert.match(
    output,
    /^ {2}imagenet +RGB, scale 1\/255, mean 0\.485,0\.456,0\.406, std 0\.229,0\.224,0\.225; cover 0\.875, linear$/m
  )
})

test('a slip of the pen is an error with the likely word, on stderr and with code 1', async t => {
  const cases: Array<[string[], RegExp]> = [
    [['lst'], /unknown command 'lst'\n\(Did you mean list\?\)/],
    [['pull', 'resnet'], /the catalog has no model "resnet": did you mean "resnet50"\?/],
    [['verify', 'evryday'], /no model "evryday" in models: did you mean "everyday"\?/],
    [['import', 'x.onnx', '--preprocessing', 'caffe'], /Allowed choices are keras-caffe, /],
    [['import', 'x.onnx', '--mean', '1,2'], /--mean <numbers>.*It must be three numbers/],
    [['import', 'x.onnx', '--size', '224'], /It must be width and height in pixels, such as 224x224/],
    [['import', 'x.onnx', '--crop-fraction', '2'], /It must be more than 0 and at most 1/],
    [['import', 'nowhere.onnx'], /nowhere\.onnx: no such file or folder/],
    [['pull'], /missing required argument 'name'/]
  ]
  await Promise.all(
    cases.map(async ([args, message]) => {
      const { code, output, complaint } = await runCommand(t, args)
      assert.deepEqual([code, output], [1, ''], args.join(' '))
      assert.match(complaint, message)
      assert.doesNotMatch(complaint, /\n {4}at /, 'no stack for what a person can put right')
    })
  )
})

test('the list shows what is there, what is broken and what can be pulled', async t => {
  const { modelsDir, catalog } = await bench(t)
  cpSync(everyday, join(modelsDir, 'everyday'), { recursive: true })
  cpSync(everyday, join(modelsDir, 'copy'), { recursive: true })
  const { code, output } = await runCommand(t, ['list', '--models-dir', modelsDir, '--catalog', catalog])
  assert.equal(code, 0)
  assert.match(output, /^everyday +1 +10 +32x32 +onnx float16, tfjs-layers float16 +6\.6 MB +ready$/m)
  assert.match(output, /^copy +broken$/m)
  assert.match(output, /^copy is broken: .*field "name" is "everyday", the directory "copy"$/m)
  assert.match(output, /^pulled +7 +3\.3 MB +MIT +the default model once more$/m)
})

test('MODELS_DIR is the folder unless an option names one', async t => {
  const modelsDir = temporaryFolder(t)
  const [byVariable, byOption] = await Promise.all([
    runCommand(t, ['list'], { MODELS_DIR: modelsDir }),
    runCommand(t, ['list', '--models-dir', 'models'], { MODELS_DIR: modelsDir, INIT_CWD: root })
  ])
  assert.match(byVariable.output, new RegExp(`^No models in ${modelsDir}`))
  assert.match(byOption.output, /^everyday /m)
})

test('verify tells of every file, and ends with 1 when one is damaged', async t => {
  const modelsDir = temporaryFolder(t)
  cpSync(everyday, join(modelsDir, 'everyday'), { recursive: true })
  const args = ['verify', 'everyday', '--models-dir', modelsDir]
  const whole = await runCommand(t, args)
  assert.equal(whole.code, 0)
  assert.deepEqual(whole.output.match(/^ok .*$/gm)?.length, 4)
  appendFileSync(join(modelsDir, 'everyday/weights.bin'), 'x')
  const damaged = await runCommand(t, args)
  assert.equal(damaged.code, 1)
  assert.match(damaged.output, /^FAULTY {2}weights\.bin \(tfjs-layers\): .*3290005 bytes, the manifest says 3290004$/m)
  assert.deepEqual(damaged.output.match(/^ok .*$/gm)?.length, 3)
})

test('import takes paths from where npm was started, and says what it made and how to serve it', async t => {
  const [from, modelsDir] = [temporaryFolder(t), temporaryFolder(t)]
  cpSync(join(everyday, 'model.onnx'), join(from, 'mine.onnx'))
  cpSync(join(everyday, 'labels.txt'), join(from, 'mine.txt'))
  const { code, output, complaint } = await runCommand(
    t,
    [
      'import',
      'mine.onnx',
      '--labels',
      'mine.txt',
      '--models-dir',
      modelsDir,
      '--scale',
      '0.5',
      '--mean',
      '1,2,3',
      '--std',
      '4,5,6',
      '--channels',
      'BGR',
      '--fit',
      'fill',
      '--kernel',
      'cubic',
      '--crop-fraction',
      '1',
      '--model-version',
      '3'
    ],
    { INIT_CWD: from }
  )
  assert.deepEqual([code, complaint], [0, ''])
  assert.match(
    output,
    new RegExp(`^Made ${join(modelsDir, 'mine')}: version 3, 10 classes, pictures of 32x32, ends in softmax\\.$`, 'm')
  )
  assert.match(output, /^Serve it with: MODELS=mine npm start$/m)
  assert.doesNotMatch(output, /assumed/)
  const { input } = JSON.parse(readFileSync(join(modelsDir, 'mine/manifest.json'), 'utf8')) as {
    input: Record<string, unknown>
  }
  assert.deepEqual(input, {
    width: 32,
    height: 32,
    channels: 'BGR',
    fit: 'fill',
    cropFraction: 1,
    kernel: 'cubic',
    scale: 0.5,
    mean: [1, 2, 3],
    std: [4, 5, 6]
  })
})

test('pull in a log says where from, what for, and no bar; pulled again it has nothing to do', async t => {
  const { server, modelsDir, pullArgs } = await bench(t)
  const { code, output, complaint } = await runCommand(t, pullArgs)
  assert.deepEqual([code, complaint], [0, ''])
  assert.match(output, new RegExp(`^Pulling pulled 7: 3\\.3 MB from ${new URL(server.url).host}$`, 'm'))
  assert.match(output, /^Serve it with: MODELS=pulled npm start$/m)
  assert.deepEqual(
    [...'\r\u001B'].filter(control => output.includes(control)),
    []
  )
  const again = await runCommand(t, pullArgs)
  assert.equal(again.code, 0)
  assert.match(again.output, /is there already, version 7, and as its manifest says\. Nothing was downloaded/)
  assertPulled(modelsDir)
})

test('Ctrl-C keeps what is here and says so; the next pull asks for the rest', async t => {
  const system = await bench(t, stallOnce)
  const { server, modelsDir, pullArgs } = system
  const command = await pullHalf(t, system)
  command.kill('SIGINT')
  const { code, output, complaint } = await command.ended()
  assert.deepEqual([code, complaint], [130, ''])
  assert.match(output, /^Stopped\. 1\.5 MB are kept in .*: the same command goes on from there\.$/m)
  assertNoModel(modelsDir)

  const resumed = await runCommand(t, pullArgs)
  assert.equal(resumed.code, 0)
  assert.match(resumed.output, /; 1\.5 MB are here already$/m)
  assert.equal(server.of('/model.onnx').at(-1)?.range, `bytes=${half}-`)
  assertPulled(modelsDir)
})

test('killed in the middle, it leaves no half model either, and goes on', async t => {
  const system = await bench(t, stallOnce)
  const { server, modelsDir, pullArgs } = system
  const command = await pullHalf(t, system)
  command.kill('SIGKILL')
  await command.ended()
  assertNoModel(modelsDir)
  assert.equal((await runCommand(t, pullArgs)).code, 0)
  assert.match(server.of('/model.onnx').at(-1)?.range ?? '', /^bytes=\d+-$/)
  assertPulled(modelsDir)
})

test('a wrong digest ends with 1 and one clear line', async t => {
  const { server, modelsDir, pullArgs, files } = await bench(t)
  server.files['/model.onnx'] = Buffer.alloc((files['/model.onnx'] as Buffer).length)
  const { code, complaint } = await runCommand(t, pullArgs)
  assert.equal(code, 1)
  assert.match(
    complaint,
    /^streamsight: http:.*model\.onnx: sha256 [0-9a-f]{64}, the catalog says [0-9a-f]{64}: .* was removed\n$/
  )
  assertNoModel(modelsDir)
})

test('HTTPS goes through the proxy that HTTPS_PROXY names, and a certificate that is not trusted is told', async t => {
  const { modelsDir, files } = await bench(t)
  const { cert, private: key } = await generate([{ name: 'commonName', value: 'localhost' }], {
    algorithm: 'sha256',
    keySize: 2048,
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 2, value: 'localhost' }] }]
  })
  const server = createServer({ cert, key }, (request, response) => response.end(files[request.url ?? '']))
  const port = new URL(await listen(t, server)).port
  const proxy = await startProxy(t)
  const folder = temporaryFolder(t)
  const [catalog, authority] = [join(folder, 'catalog.json'), join(folder, 'authority.pem')]
  writeFileSync(catalog, JSON.stringify({ models: [entryOf(`https://localhost:${port}`, files)] }))
  writeFileSync(authority, cert)
  const args = ['pull', 'pulled', '--models-dir', modelsDir, '--catalog', catalog]

  const distrusted = await runCommand(t, args, { HTTPS_PROXY: proxy.url })
  assert.equal(distrusted.code, 1)
  assert.match(
    distrusted.complaint,
    /localhost:\d+ shows a certificate that is not trusted \(.*\): .* NODE_EXTRA_CA_CERTS/
  )
  const { code, complaint } = await runCommand(t, args, { HTTPS_PROXY: proxy.url, NODE_EXTRA_CA_CERTS: authority })
  assert.deepEqual([code, complaint], [0, ''])
  assert.ok(proxy.seen.length > 0 && proxy.seen.every(seen => seen === `CONNECT localhost:${port}`), proxy.seen.join())
})

test('npm run model passes arguments and exit code through, and prints nothing of the build', t => {
  const run = (...args: string[]) =>
    spawnSync(process.execPath, ['scripts/launch.js', 'apps/cli/dist/main.js', 'model', ...args], {
      cwd: root,
      encoding: 'utf8',
      env: { PATH: process.env['PATH'] ?? '', HOME: temporaryFolder(t) }
    })
  const good = run('verify', 'everyday')
  assert.equal(good.status, 0, good.stderr)
  assert.match(good.stdout, /^ok {6}manifest\.json/)
  assert.equal(run('verify', 'nothing').status, 1)
})

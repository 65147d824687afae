import assert from 'node:assert/strict'
import { appendFileSync, cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { listModels, verifyModel, type CheckedFile } from '../src/index.ts'
import { everyday, temporaryFolder } from './models.ts'

function copyOfEveryday(t: TestContext): { modelsDir: string; dir: string } {
  const modelsDir = temporaryFolder(t)
  const dir = join(modelsDir, 'everyday')
  cpSync(everyday, dir, { recursive: true })
  return { modelsDir, dir }
}

async function verified(modelsDir: string): Promise<CheckedFile[]> {
  const files = []
  for await (const file of verifyModel(modelsDir, 'everyday')) files.push(file)
  return files
}

test('a whole model is verified file by file', async t => {
  const { modelsDir, dir } = copyOfEveryday(t)
  assert.deepEqual(await verified(modelsDir), [
    { path: join(dir, 'manifest.json'), of: 'manifest and labels' },
    { path: join(dir, 'model.onnx'), of: 'onnx' },
    { path: join(dir, 'model.json'), of: 'tfjs-layers' },
    { path: join(dir, 'weights.bin'), of: 'tfjs-layers' }
  ])
})

test('each damaged file is found, not only the first', async t => {
  const { modelsDir, dir } = copyOfEveryday(t)
  rmSync(join(dir, 'model.onnx'))
  const weights = readFileSync(join(dir, 'weights.bin'))
  writeFileSync(join(dir, 'weights.bin'), weights.fill(1, 1_000, 1_010))
  const faults = (await verified(modelsDir)).filter(({ fault }) => fault !== undefined)
  assert.deepEqual(
    faults.map(({ path, of }) => [path, of]),
    [
      [join(dir, 'model.onnx'), 'onnx'],
      [join(dir, 'weights.bin'), 'tfjs-layers']
    ]
  )
  assert.match(faults[0]?.fault ?? '', /missing, but the manifest lists it/)
  assert.match(faults[1]?.fault ?? '', /sha256 [0-9a-f]{64}, the manifest says/)
})

test('with a bad manifest or bad labels nothing else can be checked', async t => {
  const { modelsDir, dir } = copyOfEveryday(t)
  appendFileSync(join(dir, 'labels.txt'), 'unicorn\n')
  const [file, ...others] = await verified(modelsDir)
  assert.deepEqual(others, [])
  assert.match(file?.fault ?? '', /labels\.txt: 11 labels, the manifest says 10 classes$/)
  writeFileSync(join(dir, 'manifest.json'), '{}')
  assert.match((await verified(modelsDir))[0]?.fault ?? '', /manifest\.json: field /)
})

test('the list has each directory with a manifest; a broken one is told and hides no other', async t => {
  const { modelsDir, dir } = copyOfEveryday(t)
  cpSync(everyday, join(modelsDir, 'another-name'), { recursive: true })
  cpSync(everyday, join(modelsDir, '.importing-x1', 'everyday'), { recursive: true })
  mkdirSync(join(modelsDir, 'no-model'))
  writeFileSync(join(modelsDir, 'catalog.json'), '{}')
  const summary = async () =>
    (await listModels(modelsDir)).map(listed => [listed.name, listed.state === 'ready' ? 'ready' : listed.fault])
  assert.deepEqual(await summary(), [
    [
      'another-name',
      `${join(modelsDir, 'another-name/manifest.json')}: field "name" is "everyday", the directory "another-name"`
    ],
    ['everyday', 'ready']
  ])

  rmSync(join(modelsDir, 'another-name'), { recursive: true })
  appendFileSync(join(dir, 'weights.bin'), 'x')
  assert.deepEqual(await summary(), [
    ['everyday', `${join(dir, 'weights.bin')}: 3290005 bytes, the manifest says 3290004`]
  ])
})

test('a folder that is not there holds no models; one that can’t be read is an error that names it', async t => {
  const { modelsDir } = copyOfEveryday(t)
  assert.deepEqual(await listModels(join(modelsDir, 'nowhere')), [])
  await assert.rejects(listModels(join(modelsDir, 'everyday/manifest.json')), {
    code: 'MODEL',
    message: /manifest\.json: ENOTDIR/
  })
})

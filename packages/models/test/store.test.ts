import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { labelsFile, openModel, verifyArtifact, type Artifact, type Model } from '../src/index.ts'

const modelsDir = join(import.meta.dirname, '../../../models')

/** A copy of the model everyday to damage. */
function copyOfEveryday(t: TestContext, name = 'everyday'): { models: string; dir: string } {
  const models = mkdtempSync(join(tmpdir(), 'streamsight-models-'))
  t.after(() => rmSync(models, { recursive: true, force: true }))
  const dir = join(models, name)
  cpSync(join(modelsDir, 'everyday'), dir, { recursive: true })
  return { models, dir }
}

function artifactOf({ manifest }: Model, format: Artifact['format']): Artifact {
  const artifact = manifest.artifacts.find(artifact => artifact.format === format)
  assert.ok(artifact !== undefined, format)
  return artifact
}

const namesOf = ({ labels }: Model) => labels.map(({ label }) => label)

const error = (message: string) => ({ name: 'Error', code: 'MODEL', message })

test('the model everyday opens, has its ten labels, and every file of it is the one that was published', async () => {
  const model = await openModel(modelsDir, 'everyday')
  assert.equal(model.dir, join(modelsDir, 'everyday'))
  assert.deepEqual(namesOf(model), [
    'airplane',
    'automobile',
    'bird',
    'cat',
    'deer',
    'dog',
    'frog',
    'horse',
    'ship',
    'truck'
  ])
  assert.deepEqual(
    model.manifest.artifacts.map(({ format }) => format),
    ['onnx', 'tfjs-layers']
  )
  for (const artifact of model.manifest.artifacts) await verifyArtifact(model, artifact)
})

test('the default model opens, has labels with ids, and every file of it is the one that was published', async () => {
  const model = await openModel(modelsDir, 'efficientnet-lite0')
  assert.equal(model.labels.length, 1_000)
  assert.deepEqual(model.labels[281], { label: 'tabby', id: 'n02123045' })
  assert.equal(new Set(model.labels.map(({ id }) => id)).size, 1_000)
  assert.equal(labelsFile(model.labels).path, model.manifest.labels)
  for (const artifact of model.manifest.artifacts) await verifyArtifact(model, artifact)
})

for (const name of ['everyday', 'efficientnet-lite0'])
  test(`the manifest of ${name} lists every shard that its tfjs graph names`, async () => {
    const model = await openModel(modelsDir, name)
    const { path, files } = artifactOf(model, 'tfjs-layers')
    const graph = JSON.parse(readFileSync(join(model.dir, path), 'utf8')) as {
      weightsManifest: Array<{ paths: string[] }>
    }
    assert.deepEqual(
      files.map(file => file.path).toSorted(),
      [path, ...graph.weightsManifest.flatMap(({ paths }) => paths)].toSorted()
    )
  })

test('a model that is not there is an error that names the file', async t => {
  const { models } = copyOfEveryday(t)
  await assert.rejects(openModel(models, 'nothing'), error(`${join(models, 'nothing/manifest.json')}: no such file`))
})

test('a manifest whose name is not that of its directory is refused', async t => {
  const { models, dir } = copyOfEveryday(t, 'renamed')
  await assert.rejects(
    openModel(models, 'renamed'),
    error(`${join(dir, 'manifest.json')}: field "name" is "everyday", the directory "renamed"`)
  )
})

test('a name that leads out of the folder of models is refused', async t => {
  const { models } = copyOfEveryday(t)
  for (const name of ['../everyday', '..', '.', '', 'everyday/', 'x/../everyday'])
    await assert.rejects(openModel(join(models, 'everyday'), name), { code: 'MODEL' }, name)
  for (const name of ['x/../everyday', './everyday', 'everyday/'])
    await assert.rejects(openModel(models, name), { code: 'MODEL' }, name)
})

test('labels that are too few or too many are an error that names the file and both numbers', async t => {
  const { models, dir } = copyOfEveryday(t)
  const path = join(dir, 'labels.txt')
  const labels = readFileSync(path, 'utf8').trim().split('\n')
  writeFileSync(path, labels.slice(1).join('\n'))
  await assert.rejects(openModel(models, 'everyday'), error(`${path}: 9 labels, the manifest says 10 classes`))
  writeFileSync(path, [...labels, 'unicorn'].join('\n'))
  await assert.rejects(openModel(models, 'everyday'), error(`${path}: 11 labels, the manifest says 10 classes`))
  rmSync(path)
  await assert.rejects(openModel(models, 'everyday'), error(`${path}: no such file`))
})

test('labels may end their lines as Windows does, and the file with or without a line’s end', async t => {
  const { models, dir } = copyOfEveryday(t)
  const path = join(dir, 'labels.txt')
  const labels = readFileSync(path, 'utf8').trim().split('\n')
  for (const text of [labels.join('\n'), labels.join('\n') + '\n', labels.join('\r\n') + '\r\n']) {
    writeFileSync(path, text)
    assert.deepEqual(namesOf(await openModel(models, 'everyday')), labels)
  }
})

for (const [format, file] of [
  ['onnx', 'model.onnx'],
  ['tfjs-layers', 'model.json'],
  ['tfjs-layers', 'weights.bin']
] as const) {
  test(`${file} with a wrong byte, cut short, too long or missing is an error that names it`, async t => {
    const { models, dir } = copyOfEveryday(t)
    const model = await openModel(models, 'everyday')
    const artifact = artifactOf(model, format)
    const path = join(dir, file)
    const listed = artifact.files.find(({ path }) => path === file)
    assert.ok(listed !== undefined)
    const intact = readFileSync(path)
    await verifyArtifact(model, artifact)

    const damaged = Buffer.from(intact)
    damaged[100] = (damaged[100] ?? 0) ^ 1
    writeFileSync(path, damaged)
    await assert.rejects(
      verifyArtifact(model, artifact),
      ({ code, message }: Error & { code: string }) =>
        code === 'MODEL' &&
        message.startsWith(`${path}: sha256 `) &&
        message.endsWith(`, the manifest says ${listed.sha256}`)
    )

    truncateSync(path, intact.length - 1)
    await assert.rejects(
      verifyArtifact(model, artifact),
      error(`${path}: ${intact.length - 1} bytes, the manifest says ${intact.length}`)
    )
    writeFileSync(path, Buffer.concat([intact, Buffer.of(0)]))
    await assert.rejects(
      verifyArtifact(model, artifact),
      error(`${path}: ${intact.length + 1} bytes, the manifest says ${intact.length}`)
    )
    rmSync(path)
    await assert.rejects(verifyArtifact(model, artifact), error(`${path}: missing, but the manifest lists it`))
  })
}

test('damage to one artifact leaves the other one good', async t => {
  const { models, dir } = copyOfEveryday(t)
  const model = await openModel(models, 'everyday')
  rmSync(join(dir, 'weights.bin'))
  await verifyArtifact(model, artifactOf(model, 'onnx'))
})

test('an artifact that does not list its own graph is refused: nobody would check it', async () => {
  const model = await openModel(modelsDir, 'everyday')
  const artifact = artifactOf(model, 'tfjs-layers')
  const files = artifact.files.filter(({ path }) => path !== artifact.path)
  await assert.rejects(
    verifyArtifact(model, { ...artifact, files }),
    error(`${join(model.dir, 'model.json')}: not among the files of its artifact`)
  )
})

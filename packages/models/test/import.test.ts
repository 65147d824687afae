import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { writeKerasFile } from './h5-models.ts'
import { assertVerified, bench, fails, importOnnx } from './imports.ts'
import { filesIn, temporaryFolder } from './models.ts'
import { writeOnnxFile } from './onnx-models.ts'

test('all that can be stated gets into the manifest, and nothing needs to be assumed then', async t => {
  const labels = join(temporaryFolder(t), 'labels.txt')
  writeFileSync(labels, 'a\nb\nc\nd\ne\n')
  const {
    model: { manifest }
  } = await importOnnx(
    t,
    {},
    {
      name: 'stated',
      version: '2.1',
      license: 'CC0-1.0',
      source: 'my desk',
      labels,
      preprocessing: 'keras-caffe',
      overrides: { fit: 'cover', cropFraction: 0.9, kernel: 'cubic' }
    }
  )
  const { name, version, license, source, input } = manifest
  assert.deepEqual(
    { name, version, license, source },
    { name: 'stated', version: '2.1', license: 'CC0-1.0', source: 'my desk' }
  )
  assert.deepEqual(input, {
    width: 8,
    height: 8,
    channels: 'BGR',
    fit: 'cover',
    cropFraction: 0.9,
    kernel: 'cubic',
    scale: 1,
    mean: [103.939, 116.779, 123.68],
    std: [1, 1, 1]
  })
  assert.equal(manifest.assumed, undefined)
})

const labelFiles: Array<[string, string]> = [
  ['text', 'a\nb b\nc\nd\ne\n'],
  ['text as Windows writes it', '\uFEFFa\r\nb b\r\nc\r\nd\r\ne\r\n'],
  ['a JSON array', '["a", "b b", "c", "d", "e"]'],
  ['a JSON object by index', '{"4": "e", "0": "a", "1": "b b", "2": "c", "3": "d"}'],
  [
    'a class index of Keras',
    '{"0": ["n01", "a"], "1": ["n02", "b b"], "2": ["n03", "c"], "3": ["n04", "d"], "4": ["n05", "e"]}'
  ]
]
for (const [what, content] of labelFiles) {
  test(`labels can be ${what}`, async t => {
    const labels = join(temporaryFolder(t), 'labels')
    writeFileSync(labels, content)
    const { model } = await importOnnx(t, {}, { labels })
    assert.deepEqual(
      model.labels.map(({ label }) => label),
      ['a', 'b b', 'c', 'd', 'e']
    )
  })
}

const badLabels: Array<[string, string, RegExp]> = [
  [
    'too few',
    'a\nb',
    /labels: 2 labels, but the model has 5 classes: give with --labels the file that belongs to this model/
  ],
  ['not complete', '{"0": "a", "2": "b"}', /labels: has no label 1: 2 labels must have the indices 0 to 1/],
  ['numbers', '[1, 2, 3, 4, 5]', /labels: label 0 is 1, not a string/],
  ['empty in between', 'a\n\nc\nd\ne', /labels: label 1 is "": a label is one line and not empty/],
  ['broken JSON', '["a"', /labels: begins like JSON but is not/]
]
for (const [what, content, message] of badLabels) {
  test(`labels that are ${what} are an error that names the file`, async t => {
    const labels = join(temporaryFolder(t), 'labels')
    writeFileSync(labels, content)
    await assert.rejects(importOnnx(t, {}, { labels }), fails(message))
  })
}

test('a model that exists is replaced only with force, and then wholly', async t => {
  const { from, modelsDir, importFrom } = bench(t)
  writeOnnxFile(join(from, 'small.onnx'))
  await importFrom('small.onnx', { version: '1' })
  await assert.rejects(
    importFrom('small.onnx', { version: '2' }),
    fails(/small exists already: give --force to replace it, or --name/)
  )
  writeFileSync(join(modelsDir, 'small/left-over'), 'of the old one')
  const { model } = await importFrom('small.onnx', { version: '2', force: true })
  assert.equal(model.manifest.version, '2')
  assert.deepEqual(filesIn(modelsDir), ['small/labels.txt', 'small/manifest.json', 'small/small.onnx'])
})

test('an import that fails or is stopped leaves nothing, and the model that was there as it was', async t => {
  const { from, modelsDir, importFrom } = bench(t)
  writeOnnxFile(join(from, 'small.onnx'))
  await importFrom('small.onnx')
  const before = filesIn(modelsDir)
  writeOnnxFile(join(from, 'escapes.onnx'), { external: '../secret' })
  await assert.rejects(importFrom('escapes.onnx', { name: 'small', force: true }), fails(/secret/))
  const reason = new Error('stopped')
  await assert.rejects(importFrom('small.onnx', { force: true, signal: AbortSignal.abort(reason) }), reason)
  assert.deepEqual(filesIn(modelsDir), before)
  await assertVerified(modelsDir, 'small')
})

test('a name that can’t be one, a file that is not there and one of an unknown kind are errors', async t => {
  const { from, importFrom } = bench(t)
  writeOnnxFile(join(from, 'small.onnx'))
  for (const name of ['../small', '.small', 'Größe', 'a/b', ''])
    await assert.rejects(importFrom('small.onnx', { name }), fails(/can't be a model's name: give --name/))
  await assert.rejects(importFrom('nothing.onnx'), fails(/nothing\.onnx: no such file or folder/))
  writeFileSync(join(from, 'weights.xyz'), 'x')
  await assert.rejects(
    importFrom('weights.xyz'),
    fails(
      /weights\.xyz: can't tell by its ending what it is: ONNX is \.onnx, TensorFlow\.js \.json, Keras \.keras or \.h5/
    )
  )
  mkdirSync(join(from, 'empty'))
  await assert.rejects(importFrom('empty'), fails(/empty: no model in this folder: looked for .*, found nothing/))
})

test('a Keras file becomes both artifacts; its labels and preprocessing can’t be in it', async t => {
  const { from, modelsDir, importFrom } = bench(t)
  await writeKerasFile(join(from, 'small.h5'))
  const {
    model: { manifest }
  } = await importFrom('small.h5')
  assert.deepEqual(
    manifest.artifacts.map(({ format, layout, files }) => [format, layout, files.map(({ path }) => path)]),
    [
      ['onnx', 'NCHW', ['model.onnx']],
      ['tfjs-layers', 'NHWC', ['model.json', 'weights.bin']]
    ]
  )
  assert.deepEqual(
    [manifest.input.width, manifest.input.height, manifest.output],
    [8, 8, { activation: 'softmax', classes: 5 }]
  )
  assert.deepEqual(manifest.assumed?.slice(0, 2), ['labels', 'channels'])
  await assertVerified(modelsDir, 'small')
})

test('a file that is no Keras file, or weights of an unknown architecture, is an error that names it', async t => {
  const { from, importFrom } = bench(t)
  writeFileSync(join(from, 'text.h5'), 'not HDF5')
  await assert.rejects(importFrom('text.h5'), fails(/text\.h5: not a readable HDF5 file/))
  await writeKerasFile(join(from, 'small.h5'))
  await assert.rejects(
    importFrom('small.h5', { architecture: 'resnet51' }),
    fails(/architecture "resnet51" is not known: resnet50, /)
  )
})

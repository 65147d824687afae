import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { readOnnxMetadata } from '../src/import/kinds/onnx-metadata.ts'
import { bench, fails, importOnnx } from './imports.ts'
import { writeOnnxFile } from './onnx-models.ts'
import { writeZipFile } from './zip-file.ts'
import { assertNothingAssumed, config, five, labelsOf, pixelsOf, writeRepository } from './kinds-bench.ts'

test('Ultralytics’ metadata is read: names, size, and the transforms of its classifiers; other tasks are refused', async t => {
  const metadata = {
    author: 'Ultralytics',
    task: 'classify',
    imgsz: '[8, 8]',
    names: `{0: 'a', 1: "b's", 2: 'c', 3: 'd', 4: 'e'}`
  }
  const imported = await importOnnx(t, { input: ['batch', 3, 'height', 'width'], metadata })
  assert.deepEqual(labelsOf(imported), ['a', "b's", 'c', 'd', 'e'])
  assert.deepEqual(pixelsOf(imported), {
    channels: 'RGB',
    fit: 'cover',
    cropFraction: 1,
    kernel: 'linear',
    scale: 1 / 255,
    mean: [0, 0, 0],
    std: [1, 1, 1]
  })
  assertNothingAssumed(imported)
  await assert.rejects(
    importOnnx(t, { metadata: { ...metadata, task: 'detect' } }),
    fails(/an Ultralytics model for the task "detect"; only "classify"/)
  )
})

test('E9: a zip of Azure Custom Vision takes BGR with 0 to 255 and its labels.txt', async t => {
  const { from, importFrom } = bench(t)
  writeOnnxFile(join(from, 'model.onnx'))
  const files = {
    'model.onnx': readFileSync(join(from, 'model.onnx')),
    'labels.txt': '\uFEFFa\r\nb\r\nc\r\nd\r\ne\r\n',
    'cvexport.manifest': JSON.stringify({ DomainType: 'Classification', Platform: 'ONNX' }),
    'metadata_properties.json': JSON.stringify({
      'CustomVision.Preprocess.CropMethod': 'NoCrop',
      'CustomVision.Postprocess.Method': 'ClassificationMultiClass'
    })
  }
  writeZipFile(join(from, 'cv.zip'), files)
  const imported = await importFrom('cv.zip')
  assert.deepEqual([labelsOf(imported), imported.settings.labels.source], [five, 'read'])
  const { channels, scale, fit } = pixelsOf(imported)
  assert.deepEqual([channels, scale, fit], ['BGR', 1, 'fill'])

  const multi = JSON.stringify({ 'CustomVision.Postprocess.Method': 'ClassificationMultiLabel' })
  writeZipFile(join(from, 'multi.zip'), { ...files, 'metadata_properties.json': multi })
  await assert.rejects(importFrom('multi.zip'), fails(/multilabel project/))
  const detection = JSON.stringify({ DomainType: 'ObjectDetection' })
  writeZipFile(join(from, 'detection.zip'), { ...files, 'cvexport.manifest': detection })
  await assert.rejects(importFrom('detection.zip'), fails(/project for ObjectDetection/))
})

test('E9: the pixel format in Custom Vision’s ONNX metadata counts', async t => {
  const bgr = { 'Image.BitmapPixelFormat': 'Bgr8', 'Image.NominalPixelRange': 'NominalRange_0_255' }
  const { channels, scale } = pixelsOf(await importOnnx(t, { metadata: bgr }))
  assert.deepEqual([channels, scale], ['BGR', 1])
  const normalized = { 'Image.BitmapPixelFormat': 'Rgb8', 'Image.NominalPixelRange': 'Normalized_0_1' }
  const other = pixelsOf(await importOnnx(t, { metadata: normalized }))
  assert.deepEqual([other.channels, other.scale], ['RGB', 1 / 255])
})

test('E9: outputs called classLabel and loss are Custom Vision’s, also without metadata', () => {
  const { facts } = readOnnxMetadata({ metadata: new Map(), outputs: ['classLabel', 'loss'] }, 'model.onnx')
  assert.deepEqual([facts.channels?.value, facts.scale?.value], ['BGR', 1])
  assert.deepEqual(readOnnxMetadata({ metadata: new Map(), outputs: ['loss'] }, 'model.onnx').facts, {})
})

const refused: Array<[file: string, content: string, message: RegExp]> = [
  [
    'net.pt',
    'PK',
    /net\.pt: PyTorch keeps weights there[\s\S]*\nimport torch; .*\ntorch\.onnx\.export\(.*"net\.onnx".*\nnpm run model -- import net\.onnx/
  ],
  ['net.pth', 'PK', /torch\.load\("net\.pth"\)/],
  ['model.safetensors', 'x', /weights without a network[\s\S]*\noptimum-cli export onnx/],
  [
    'net.tflite',
    'x',
    /TensorFlow Lite can't be served[\s\S]*\npython -m tf2onnx\.convert --opset 17 --tflite net\.tflite --output net\.onnx\n/
  ],
  ['frozen.pb', 'x', /a frozen TensorFlow graph[\s\S]*--graphdef frozen\.pb/],
  ['clf.joblib', 'sklearn.svm', /a scikit-learn model, which takes rows of numbers[\s\S]*teachablemachine/],
  ['clf.pkl', '\x80\x04sklearn.ensemble', /a scikit-learn model/],
  ['export.pkl', '\x80\x04fastai.learner', /a fastai learner[\s\S]*load_learner\("export\.pkl"\)/],
  ['own.pkl', '\x80\x04mine', /a Python pickle; only the program that wrote it/],
  ['net.mlmodel', 'x', /Core ML can't be converted back/],
  ['net.engine', 'x', /a TensorRT engine runs on the GPU/],
  ['net.xml', 'x', /OpenVINO's form/],
  ['net.pdmodel', 'x', /paddle2onnx/]
]
for (const [file, content, message] of refused) {
  test(`E9: ${file} with "${content.slice(-8)}" is refused by name with the way out`, async t => {
    const { from, importFrom } = bench(t)
    writeFileSync(join(from, file), content)
    await assert.rejects(importFrom(file), fails(message))
  })
}

test('E9: a SavedModel without --python is refused with the commands that convert it', async t => {
  const { from, importFrom } = bench(t)
  mkdirSync(join(from, 'flowers/variables'), { recursive: true })
  writeFileSync(join(from, 'flowers/saved_model.pb'), 'x')
  const commands =
    /a TensorFlow SavedModel[\s\S]*Give --python[\s\S]*\npip install tensorflow.*tf2onnx==.*\npython -m tf2onnx\.convert .*--saved-model .*flowers --output flowers\.onnx\nnpm run model -- import flowers\.onnx/
  await assert.rejects(importFrom('flowers'), fails(commands))
  await assert.rejects(importFrom('flowers/saved_model.pb'), fails(commands))
})

test('E9: --python with a command that is not there is told plainly', async t => {
  const { from, importFrom } = bench(t)
  mkdirSync(join(from, 'flowers'))
  writeFileSync(join(from, 'flowers/saved_model.pb'), 'x')
  const python = { python: 'python-that-is-not-there', cacheDir: join(from, 'cache') }
  await assert.rejects(
    importFrom('flowers', { python }),
    fails(/--python: can't make an environment with "python-that-is-not-there", which must be Python 3\.10 to 3\.13/)
  )
  assert.deepEqual(readdirSync(join(from, 'cache')), [])
})

test('a folder with several models, with weights alone, with links or with nothing says what it found', async t => {
  const { from, importFrom } = bench(t)
  writeRepository(join(from, 'two'), {}, ['one.onnx', {}])
  writeOnnxFile(join(from, 'two/other.onnx'))
  await assert.rejects(importFrom('two'), fails(/holds 2 models \(one\.onnx, other\.onnx\): name the file/))
  mkdirSync(join(from, 'weights'))
  writeFileSync(join(from, 'weights/config.json'), JSON.stringify(config))
  writeFileSync(join(from, 'weights/model.safetensors'), 'x')
  await assert.rejects(importFrom('weights'), fails(/weights without a network[\s\S]*optimum-cli/))
  mkdirSync(join(from, 'notes'))
  writeFileSync(join(from, 'notes/readme.md'), 'x')
  await assert.rejects(importFrom('notes'), fails(/notes: no model in this folder: .* found readme\.md/))
  mkdirSync(join(from, 'links'))
  symlinkSync(join(from, 'two/one.onnx'), join(from, 'links/model.onnx'))
  await assert.rejects(importFrom('links'), fails(/model\.onnx: is a symbolic link, which is not followed/))
})

test('labels in a folder belong to its model; beside a file that is named itself they do not', async t => {
  const { from, importFrom } = bench(t)
  writeRepository(join(from, 'mine'), { 'class_indices.json': '{"e": 4, "a": 0, "b": 1, "c": 2, "d": 3}' })
  assert.deepEqual(labelsOf(await importFrom('mine')), five)
  assert.equal((await importFrom('mine/model.onnx', { name: 'file' })).settings.labels.source, 'assumed')
})

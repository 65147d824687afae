import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import type { Input } from '../src/index.ts'
import type { Imported } from '../src/import/import.ts'
import { readOnnxMetadata } from '../src/import/kinds/onnx-metadata.ts'
import { bench, fails, importOnnx } from './imports.ts'
import { everyday, temporaryFolder } from './models.ts'
import { writeOnnxFile, type OnnxParts } from './onnx-models.ts'
import { writeZipFile } from './zip-file.ts'

const five = ['a', 'b', 'c', 'd', 'e']

/** Settings that a manifest has, apart from the size, and what the import says of where each comes from. */
function pixelsOf({ model }: Imported): Omit<Input, 'width' | 'height'> {
  const { width: _, height: __, ...pixels } = model.manifest.input
  return pixels
}

function labelsOf({ model }: Imported): string[] {
  return model.labels.map(({ label }) => label)
}

function assertNothingAssumed({ model }: Imported): void {
  assert.equal(model.manifest.assumed, undefined)
}

/** Writes a folder of text files, and a model in it. */
function writeRepository(
  folder: string,
  files: Record<string, unknown>,
  onnx: [string, OnnxParts] = ['model.onnx', {}]
) {
  mkdirSync(dirname(join(folder, onnx[0])), { recursive: true })
  writeOnnxFile(join(folder, onnx[0]), onnx[1])
  for (const [name, content] of Object.entries(files))
    writeFileSync(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content))
}

const tenLabels = ['aeroplane', 'car', 'Vogel', 'Katze', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck']
const teachableMachine = {
  'model.json': readFileSync(join(everyday, 'model.json')),
  'weights.bin': readFileSync(join(everyday, 'weights.bin')),
  'metadata.json': JSON.stringify({
    tmVersion: '2.4.7',
    packageName: '@teachablemachine/image',
    labels: tenLabels,
    imageSize: 32
  })
}
const teachableMachinePixels = {
  channels: 'RGB',
  fit: 'cover',
  cropFraction: 1,
  kernel: 'linear',
  scale: 1 / 127.5,
  mean: [1, 1, 1],
  std: [1, 1, 1]
}

test('E4: a folder of Teachable Machine is read whole from its metadata.json', async t => {
  const { from, importFrom } = bench(t)
  mkdirSync(join(from, 'tm'))
  for (const [name, content] of Object.entries(teachableMachine)) writeFileSync(join(from, 'tm', name), content)
  const imported = await importFrom('tm')
  assert.deepEqual(pixelsOf(imported), teachableMachinePixels)
  assert.deepEqual(labelsOf(imported), tenLabels)
  assert.deepEqual(imported.settings.scale, {
    value: 1 / 127.5,
    source: 'read',
    from: 'metadata.json of Teachable Machine'
  })
  assertNothingAssumed(imported)
})

test('E4: a zip of Teachable Machine is read as its folder is, also with a folder in it, and nothing is left behind', async t => {
  const { from, importFrom } = bench(t)
  // Others unpack in the system's folder at the same time.
  const before = process.env['TMPDIR']
  process.env['TMPDIR'] = temporaryFolder(t)
  t.after(() => (before === undefined ? delete process.env['TMPDIR'] : (process.env['TMPDIR'] = before)))
  writeZipFile(join(from, 'Converted TFJS (1).zip'), teachableMachine)
  const inFolder = Object.entries(teachableMachine).map(([name, content]) => [`my model/${name}`, content] as const)
  writeZipFile(join(from, 'deep.zip'), Object.fromEntries(inFolder))
  const imported = await importFrom('Converted TFJS (1).zip')
  assert.equal(imported.model.manifest.name, 'converted-tfjs-1')
  assert.equal(imported.model.manifest.source, 'imported from Converted TFJS (1).zip')
  assert.deepEqual(labelsOf(imported), tenLabels)
  assert.deepEqual(pixelsOf(await importFrom('deep.zip')), teachableMachinePixels)
  assert.deepEqual(readdirSync(tmpdir()), [])
})

test('E4: what a person gives counts before metadata.json, and a model of poses is refused', async t => {
  const { from, importFrom } = bench(t)
  writeZipFile(join(from, 'tm.zip'), teachableMachine)
  const { settings } = await importFrom('tm.zip', { overrides: { kernel: 'cubic' } })
  assert.deepEqual([settings.kernel.value, settings.kernel.source, settings.fit.source], ['cubic', 'given', 'read'])
  const pose = JSON.stringify({ packageName: '@teachablemachine/pose', labels: ['up', 'down'] })
  writeZipFile(join(from, 'pose.zip'), { ...teachableMachine, 'metadata.json': pose })
  await assert.rejects(importFrom('pose.zip'), fails(/pose\.zip\/metadata\.json: a model of @teachablemachine\/pose/))
})

const config = {
  architectures: ['ViTForImageClassification'],
  id2label: Object.fromEntries(five.map((label, index) => [String(index), label])),
  image_size: 8
}
const half = [0.5, 0.5, 0.5]
const huggingFace: Array<[what: string, preprocessor: Record<string, unknown>, pixels: Partial<Input>]> = [
  [
    'ViT: both edges',
    { size: { height: 8, width: 8 }, resample: 2, rescale_factor: 1 / 255, image_mean: half, image_std: half },
    { fit: 'fill', cropFraction: 1, kernel: 'linear', scale: 1 / 255, mean: half, std: half, channels: 'RGB' }
  ],
  [
    'CLIP’s way: shortest edge and a crop',
    {
      size: { shortest_edge: 10 },
      do_center_crop: true,
      crop_size: { height: 8, width: 8 },
      resample: 3,
      image_mean: half,
      image_std: half
    },
    { fit: 'cover', cropFraction: 0.8, kernel: 'cubic' }
  ],
  [
    'DeiT: a number for both edges, and a crop',
    {
      feature_extractor_type: 'DeiTFeatureExtractor',
      size: 10,
      do_center_crop: true,
      crop_size: 8,
      image_mean: half,
      image_std: half
    },
    { fit: 'fill', cropFraction: 0.8 }
  ],
  [
    'ConvNext: crop_pct',
    {
      image_processor_type: 'ConvNextImageProcessor',
      size: { shortest_edge: 8 },
      crop_pct: 0.8,
      resample: 3,
      image_mean: half,
      image_std: half
    },
    { fit: 'cover', cropFraction: 0.8, kernel: 'cubic' }
  ],
  [
    'EfficientNet: an offset, and the deviations twice',
    {
      size: { height: 8, width: 8 },
      rescale_factor: 1 / 127.5,
      rescale_offset: true,
      include_top: true,
      image_mean: [0, 0, 0],
      image_std: half
    },
    { scale: 1 / 127.5, mean: [1, 1, 1], std: [0.25, 0.25, 0.25] }
  ],
  [
    'MobileViT: channels turned round and no mean',
    { size: { height: 8, width: 8 }, do_flip_channel_order: true, do_rescale: true },
    { channels: 'BGR', scale: 1 / 255, mean: [0, 0, 0], std: [1, 1, 1] }
  ],
  [
    'no normalization at all',
    { size: { height: 8, width: 8 }, do_rescale: false, do_normalize: false },
    { scale: 1, mean: [0, 0, 0], std: [1, 1, 1] }
  ]
]
for (const [what, preprocessor, pixels] of huggingFace) {
  test(`a Hugging Face folder is read: ${what}`, async t => {
    const { from, importFrom } = bench(t)
    const dynamic: OnnxParts = { input: ['batch_size', 'num_channels', 'height', 'width'], ops: ['Gemm'] }
    writeRepository(join(from, 'repo'), { 'config.json': config, 'preprocessor_config.json': preprocessor }, [
      'onnx/model.onnx',
      dynamic
    ])
    const imported = await importFrom('repo')
    assert.deepEqual({ ...pixelsOf(imported), ...pixels }, pixelsOf(imported))
    assert.deepEqual(labelsOf(imported), five)
    assert.equal(imported.model.manifest.artifacts[0]?.layout, 'NCHW')
    assert.deepEqual([imported.model.manifest.input.width, imported.model.manifest.name], [8, 'repo'])
  })
}

test('a Hugging Face folder for another task, or with several labels a picture, is refused by name', async t => {
  const { from, importFrom } = bench(t)
  writeRepository(join(from, 'detr'), { 'config.json': { ...config, architectures: ['DetrForObjectDetection'] } })
  await assert.rejects(
    importFrom('detr'),
    fails(/config\.json: the model is DetrForObjectDetection, not one for image/)
  )
  writeRepository(join(from, 'multi'), { 'config.json': { ...config, problem_type: 'multi_label_classification' } })
  await assert.rejects(importFrom('multi'), fails(/gives a picture several labels/))
  writeRepository(join(from, 'bad'), {
    'preprocessor_config.json': { size: { height: 8, width: 8 }, image_mean: [1, 2] }
  })
  await assert.rejects(importFrom('bad'), fails(/field "image_mean" is \[1,2\], not three numbers/))
})

test('what transformers makes up for labels counts as none', async t => {
  const { from, importFrom } = bench(t)
  const madeUp = Object.fromEntries(five.map((_, index) => [String(index), `LABEL_${index}`]))
  writeRepository(join(from, 'repo'), { 'config.json': { ...config, id2label: madeUp } })
  const { settings } = await importFrom('repo')
  assert.deepEqual([settings.labels.source, settings.labels.value[0]?.label], ['assumed', 'class 0'])
})

test('timm’s pretrained_cfg is read from config.json and from an ONNX file’s metadata', async t => {
  const pretrained = {
    input_size: [3, 8, 8],
    interpolation: 'bicubic',
    crop_pct: 0.9,
    crop_mode: 'center',
    mean: half,
    std: half
  }
  const pixels = {
    channels: 'RGB',
    fit: 'cover',
    cropFraction: 0.9,
    kernel: 'cubic',
    scale: 1 / 255,
    mean: half,
    std: half
  }
  const { from, importFrom } = bench(t)
  writeRepository(join(from, 'repo'), {
    'config.json': { architecture: 'resnet18', pretrained_cfg: pretrained, label_names: five }
  })
  const fromFolder = await importFrom('repo')
  assert.deepEqual([pixelsOf(fromFolder), labelsOf(fromFolder)], [pixels, five])
  const alone = await importOnnx(t, { metadata: { pretrained_cfg: JSON.stringify(pretrained) } })
  assert.deepEqual(pixelsOf(alone), pixels)
  assert.equal(alone.settings.mean.from, 'pretrained_cfg of timm')
})

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

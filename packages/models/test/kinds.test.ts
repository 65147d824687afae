import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Input } from '../src/index.ts'
import { bench, fails, importOnnx } from './imports.ts'
import { everyday, temporaryFolder } from './models.ts'
import { type OnnxParts } from './onnx-models.ts'
import { writeZipFile } from './zip-file.ts'
import { assertNothingAssumed, config, five, labelsOf, pixelsOf, writeRepository } from './kinds-bench.ts'

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

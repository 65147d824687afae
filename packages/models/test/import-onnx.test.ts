import assert from 'node:assert/strict'
import { cpSync, mkdirSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { TensorProto_DataType } from 'onnx-buf'
import { importModel } from '../src/import/import.ts'
import { listModels, type Manifest } from '../src/index.ts'
import { presets } from '../src/import/preprocessing.ts'
import { assertVerified, bench, fails, importOnnx } from './imports.ts'
import { assets, everyday, filesIn, without } from './models.ts'
import { writeOnnxFile, type OnnxParts } from './onnx-models.ts'

test('an ONNX file becomes a model: what it says is read, what it does not is assumed and told', async t => {
  const { modelsDir, importFrom, from } = bench(t)
  cpSync(join(everyday, 'model.onnx'), join(from, 'Every Day.onnx'))
  const {
    model: { manifest, labels },
    notes
  } = await importFrom('Every Day.onnx')
  const { width, height, ...preprocessing } = manifest.input
  assert.deepEqual({ width, height }, { width: 32, height: 32 })
  assert.deepEqual(preprocessing, presets.imagenet)
  assert.deepEqual(manifest.output, { activation: 'softmax', classes: 10 })
  assert.equal(manifest.name, 'every-day')
  assert.equal(labels[9]?.label, 'class 9')
  assert.deepEqual(manifest.assumed, ['labels', 'channels', 'fit', 'cropFraction', 'kernel', 'scale', 'mean', 'std'])
  assert.deepEqual(notes, [])
  assert.deepEqual(filesIn(modelsDir), ['every-day/Every Day.onnx', 'every-day/labels.txt', 'every-day/manifest.json'])
  await assertVerified(modelsDir, 'every-day')
})

const graphs: Array<[string, OnnxParts, Partial<Manifest['output']> & { layout?: string }]> = [
  ['ends in softmax', {}, { activation: 'softmax', classes: 5 }],
  ['ends in logits', { ops: ['Gemm'] }, { activation: 'logits' }],
  ['reshapes after its softmax', { ops: ['Gemm', 'Softmax', 'Reshape', 'Identity'] }, { activation: 'softmax' }],
  ['has its colours last', { input: ['batch', 8, 8, 3] }, { layout: 'NHWC' }],
  ['lists its weights among the inputs', { oldStyle: true }, { classes: 5 }],
  ['gives scores as a picture of one pixel', { output: ['batch', 5, 1, 1] }, { classes: 5 }],
  ['leaves its output open: classes come from the last weights', { output: ['batch', 'classes'] }, { classes: 5 }]
]
for (const [what, parts, { layout = 'NCHW', ...output }] of graphs) {
  test(`an ONNX graph that ${what} is understood`, async t => {
    const {
      model: { manifest }
    } = await importOnnx(t, parts)
    assert.equal(manifest.artifacts[0]?.layout, layout)
    assert.deepEqual({ ...manifest.output, ...output }, manifest.output)
  })
}

const refused: Array<[string, OnnxParts, RegExp]> = [
  ['has another input', { second: true }, /small\.onnx: has 2 inputs \(picture, mask\)/],
  [
    'takes float64',
    { inputType: TensorProto_DataType.DOUBLE },
    /small\.onnx: input "picture" is double; the engines take float32, float16 or uint8/
  ],
  [
    'takes vectors',
    { input: ['batch', 64] },
    /small\.onnx: its input is \[\?, 64\]; a batch of pictures has four dimensions/
  ],
  ['takes grey pictures', { input: ['batch', 1, 8, 8] }, /three colour channels second or last/],
  ['ends in sigmoid', { ops: ['Gemm', 'Sigmoid'] }, /ends in Sigmoid, which scores each label by itself/],
  [
    'is open in size',
    { input: ['batch', 3, 'height', 'width'] },
    /small: takes pictures of any size: give the one it was trained with, for example --size 224x224/
  ],
  [
    'ends in what nobody knows',
    { ops: ['Gemm', 'Elu'] },
    /can't see whether it ends in softmax: give --activation softmax or --activation logits/
  ],
  [
    'tells nothing of its classes',
    { ops: ['Elu'], output: ['batch', 'n'] },
    /can’t see how many classes the model has: give their labels with --labels/
  ]
]
for (const [what, parts, message] of refused) {
  test(`an ONNX graph that ${what} is an error that says what to do`, async t => {
    await assert.rejects(importOnnx(t, parts), fails(message))
  })
}

test('a graph that doesn’t say where its colours are asks for it', async t => {
  await assert.rejects(
    importOnnx(t, { input: ['n', 'a', 'b', 'c'] }, { size: { width: 9, height: 7 } }),
    fails(
      /small\.onnx: doesn't say where its colour channels are: give --layout NCHW \(second\) or --layout NHWC \(last\)/
    )
  )
})

test('what a graph leaves open can be stated, but what it says can’t be changed', async t => {
  const open = await importOnnx(
    t,
    { input: ['n', 'a', 'b', 'c'], ops: ['Gemm', 'Elu'] },
    { size: { width: 9, height: 7 }, layout: 'NHWC', activation: 'logits' }
  )
  assert.deepEqual(
    [
      open.model.manifest.input.width,
      open.model.manifest.input.height,
      open.model.manifest.artifacts[0]?.layout,
      open.model.manifest.output.activation
    ],
    [9, 7, 'NHWC', 'logits']
  )
  await assert.rejects(
    importOnnx(t, {}, { size: { width: 9, height: 7 } }),
    fails(/its file says that pictures are 8x8, --size says 9x7/)
  )
  const { notes } = await importOnnx(t, {}, { activation: 'logits' })
  assert.match(
    notes.join('\n'),
    /the graph seems to end in softmax \(.*\), but --activation logits was given and is taken/
  )
})

for (const batch of [1, 4]) {
  test(`E8: a graph for batches of ${batch} is imported, and what that costs is told`, async t => {
    const { notes, model } = await importOnnx(t, { input: [batch, 3, 8, 8], output: [batch, 5] })
    assert.match(notes.join('\n'), /it was exported for exactly (one picture|4 pictures) at a time/)
    assert.equal(model.manifest.output.classes, 5)
  })
}

test('files in which an ONNX graph keeps its weights come along; one that is missing or outside is an error', async t => {
  const { from, modelsDir, importFrom } = bench(t)
  writeOnnxFile(join(from, 'small.onnx'), { external: 'weights/small.onnx.data' })
  await assert.rejects(
    importFrom('small.onnx'),
    fails(/weights\/small\.onnx\.data: missing, but the model refers to it/)
  )
  mkdirSync(join(from, 'weights'))
  writeFileSync(join(from, 'weights/small.onnx.data'), Buffer.alloc(60))
  writeFileSync(join(from, 'weights/something-else'), 'not of the model')
  const { model } = await importFrom('small.onnx')
  assert.deepEqual(model.manifest.artifacts[0]?.files.map(({ path, bytes }) => [path, bytes]).slice(1), [
    ['weights/small.onnx.data', 60]
  ])
  assert.equal(filesIn(modelsDir).includes('small/weights/something-else'), false)
  await assertVerified(modelsDir, 'small')

  writeOnnxFile(join(from, 'escapes.onnx'), { external: '../secret' })
  await assert.rejects(importFrom('escapes.onnx'), fails(/a file of the model is called "\.\.\/secret"/))
  writeFileSync(join(from, 'labels.txt'), Buffer.alloc(60))
  writeOnnxFile(join(from, 'clashes.onnx'), { external: 'labels.txt' })
  await assert.rejects(
    importFrom('clashes.onnx'),
    fails(/a file of the model is called "labels\.txt", as one that every model directory has/)
  )
  assert.deepEqual(
    (await listModels(modelsDir)).map(({ name }) => name),
    ['small']
  )
})

test('what is not ONNX, or cut short, is an error that names the file', async t => {
  const { from, importFrom } = bench(t)
  cpSync(join(everyday, 'model.onnx'), join(from, 'cut.onnx'))
  truncateSync(join(from, 'cut.onnx'), 2_000_000)
  writeFileSync(join(from, 'text.onnx'), 'this is text, and long enough to be looked at')
  writeFileSync(join(from, 'empty.onnx'), '')
  for (const file of ['cut.onnx', 'text.onnx', 'empty.onnx'])
    await assert.rejects(importFrom(file), fails(new RegExp(`${file}: not an ONNX model, or damaged`)))
})

test('an int8 ONNX of the model zoo is read: classes, layout, logits', { skip: without('models') }, async t => {
  const { modelsDir } = bench(t)
  const {
    model: { manifest }
  } = await importModel({
    path: join(assets, 'models/mobilenetv2-12-int8-onnx/mobilenetv2-12-int8.onnx'),
    modelsDir,
    preprocessing: 'imagenet'
  })
  assert.deepEqual(
    [manifest.input.width, manifest.input.height, manifest.output, manifest.artifacts[0]?.layout],
    [224, 224, { activation: 'logits', classes: 1_000 }, 'NCHW']
  )
})

import assert from 'node:assert/strict'
import { cpSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { TensorProto_DataType } from 'onnx-buf'
import { importModel, type ImportOptions, type Imported } from '../src/import.ts'
import { listModels, verifyModel, type Manifest } from '../src/index.ts'
import { presets } from '../src/preprocessing.ts'
import { writeKerasFile } from './h5-models.ts'
import { assets, everyday, filesIn, temporaryFolder, without } from './models.ts'
import { writeOnnxFile, type OnnxParts } from './onnx-models.ts'

/** A folder with what somebody has, and an empty one for models. */
function bench (t: TestContext) {
  const [from, modelsDir] = [temporaryFolder(t), temporaryFolder(t)]
  return { from, modelsDir, importFrom: (file: string, options: Partial<ImportOptions> = {}) => importModel({ path: join(from, file), modelsDir, ...options }) }
}

async function importOnnx (t: TestContext, parts: OnnxParts, options: Partial<ImportOptions> = {}): Promise<Imported> {
  const { from, importFrom } = bench(t)
  writeOnnxFile(join(from, 'small.onnx'), parts)
  return await importFrom('small.onnx', options)
}

const fails = (message: RegExp) => ({ code: 'MODEL', message })

async function assertVerified (modelsDir: string, name: string): Promise<void> {
  for await (const { path, fault } of verifyModel(modelsDir, name)) assert.equal(fault, undefined, path)
}

test('an ONNX file becomes a model: what it says is read, what it does not is assumed and told', async t => {
  const { modelsDir, importFrom, from } = bench(t)
  cpSync(join(everyday, 'model.onnx'), join(from, 'Every Day.onnx'))
  const { model: { manifest, labels }, assumed, notes } = await importFrom('Every Day.onnx')
  const { width, height, ...preprocessing } = manifest.input
  assert.deepEqual({ width, height }, { width: 32, height: 32 })
  assert.deepEqual(preprocessing, presets.imagenet)
  assert.deepEqual(manifest.output, { activation: 'softmax', classes: 10 })
  assert.equal(manifest.name, 'every-day')
  assert.equal(labels[9], 'class 9')
  assert.deepEqual(assumed, ['assumed --preprocessing imagenet: give it if the model was trained otherwise', 'no labels: answers will say "class 0" to "class 9"; give --labels to name them'])
  assert.deepEqual(notes, [])
  assert.deepEqual(filesIn(modelsDir), ['every-day/Every Day.onnx', 'every-day/labels.txt', 'every-day/manifest.json'])
  await assertVerified(modelsDir, 'every-day')
})

test('all that can be stated gets into the manifest, and nothing needs to be assumed then', async t => {
  const labels = join(temporaryFolder(t), 'labels.txt')
  writeFileSync(labels, 'a\nb\nc\nd\ne\n')
  const { model: { manifest }, assumed } = await importOnnx(t, {}, {
    name: 'stated', version: '2.1', license: 'CC0-1.0', source: 'my desk', labels, preprocessing: 'keras-caffe', overrides: { fit: 'cover', cropFraction: 0.9, kernel: 'cubic' }
  })
  const { name, version, license, source, input } = manifest
  assert.deepEqual({ name, version, license, source }, { name: 'stated', version: '2.1', license: 'CC0-1.0', source: 'my desk' })
  assert.deepEqual(input, { width: 8, height: 8, channels: 'BGR', fit: 'cover', cropFraction: 0.9, kernel: 'cubic', scale: 1, mean: [103.939, 116.779, 123.68], std: [1, 1, 1] })
  assert.deepEqual(assumed, [])
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
    const { model: { manifest } } = await importOnnx(t, parts)
    assert.equal(manifest.artifacts[0]?.layout, layout)
    assert.deepEqual({ ...manifest.output, ...output }, manifest.output)
  })
}

const refused: Array<[string, OnnxParts, RegExp]> = [
  ['has another input', { second: true }, /small\.onnx: has 2 inputs \(picture, mask\)/],
  ['takes float16', { inputType: TensorProto_DataType.FLOAT16 }, /small\.onnx: input "picture" is float16; the engines work with float32/],
  ['takes vectors', { input: ['batch', 64] }, /small\.onnx: its input is \[\?, 64\]; a batch of pictures has four dimensions/],
  ['takes grey pictures', { input: ['batch', 1, 8, 8] }, /three colour channels second or last/],
  ['takes 4 at a time', { input: [4, 3, 8, 8] }, /takes exactly 4 pictures at a time/],
  ['ends in sigmoid', { ops: ['Gemm', 'Sigmoid'] }, /ends in Sigmoid, which scores each label by itself/],
  ['is open in size', { input: ['batch', 3, 'height', 'width'] }, /small: takes pictures of any size: give the one it was trained with, for example --size 224x224/],
  ['ends in what nobody knows', { ops: ['Gemm', 'Elu'] }, /can't see whether it ends in softmax: give --activation softmax or --activation logits/],
  ['tells nothing of its classes', { ops: ['Elu'], output: ['batch', 'n'] }, /can’t see how many classes the model has: give their labels with --labels/]
]
for (const [what, parts, message] of refused) {
  test(`an ONNX graph that ${what} is an error that says what to do`, async t => {
    await assert.rejects(importOnnx(t, parts), fails(message))
  })
}

test('a graph that doesn’t say where its colours are asks for it', async t => {
  await assert.rejects(importOnnx(t, { input: ['n', 'a', 'b', 'c'] }, { size: { width: 9, height: 7 } }), fails(/small\.onnx: doesn't say where its colour channels are: give --layout NCHW \(second\) or --layout NHWC \(last\)/))
})

test('what a graph leaves open can be stated, but what it says can’t be changed', async t => {
  const open = await importOnnx(t, { input: ['n', 'a', 'b', 'c'], ops: ['Gemm', 'Elu'] }, { size: { width: 9, height: 7 }, layout: 'NHWC', activation: 'logits' })
  assert.deepEqual([open.model.manifest.input.width, open.model.manifest.input.height, open.model.manifest.artifacts[0]?.layout, open.model.manifest.output.activation], [9, 7, 'NHWC', 'logits'])
  await assert.rejects(importOnnx(t, {}, { size: { width: 9, height: 7 } }), fails(/its file says that pictures are 8x8, --size says 9x7/))
  const { assumed } = await importOnnx(t, {}, { activation: 'logits' })
  assert.ok(assumed.includes('the graph seems to end in softmax, but --activation logits was given and is taken'))
})

test('a graph for one picture at a time is served with a batch of one, and that is told', async t => {
  const { notes } = await importOnnx(t, { input: [1, 3, 8, 8] })
  assert.deepEqual(notes, ['it takes one picture at a time: serve it with BATCH_MAX_SIZE=1, or export it again with a dynamic batch'])
})

test('files in which an ONNX graph keeps its weights come along; one that is missing or outside is an error', async t => {
  const { from, modelsDir, importFrom } = bench(t)
  writeOnnxFile(join(from, 'small.onnx'), { external: 'weights/small.onnx.data' })
  await assert.rejects(importFrom('small.onnx'), fails(/weights\/small\.onnx\.data: missing, but the model refers to it/))
  mkdirSync(join(from, 'weights'))
  writeFileSync(join(from, 'weights/small.onnx.data'), Buffer.alloc(60))
  writeFileSync(join(from, 'weights/something-else'), 'not of the model')
  const { model } = await importFrom('small.onnx')
  assert.deepEqual(model.manifest.artifacts[0]?.files.map(({ path, bytes }) => [path, bytes]).slice(1), [['weights/small.onnx.data', 60]])
  assert.equal(filesIn(modelsDir).includes('small/weights/something-else'), false)
  await assertVerified(modelsDir, 'small')

  writeOnnxFile(join(from, 'escapes.onnx'), { external: '../secret' })
  await assert.rejects(importFrom('escapes.onnx'), fails(/a file of the model is called "\.\.\/secret"/))
  writeOnnxFile(join(from, 'clashes.onnx'), { external: 'labels.txt' })
  await assert.rejects(importFrom('clashes.onnx'), fails(/a file of the model is called "labels\.txt", as one that every model directory has/))
  assert.deepEqual((await listModels(modelsDir)).map(({ name }) => name), ['small'])
})

test('what is not ONNX, or cut short, is an error that names the file', async t => {
  const { from, importFrom } = bench(t)
  cpSync(join(everyday, 'model.onnx'), join(from, 'cut.onnx'))
  truncateSync(join(from, 'cut.onnx'), 2_000_000)
  writeFileSync(join(from, 'text.onnx'), 'this is text, and long enough to be looked at')
  writeFileSync(join(from, 'empty.onnx'), '')
  for (const file of ['cut.onnx', 'text.onnx', 'empty.onnx']) await assert.rejects(importFrom(file), fails(new RegExp(`${file}: not an ONNX model, or damaged`)))
})

test('a TensorFlow.js layers model keeps its files and gets an ONNX artifact; its folder will do', async t => {
  const { from, modelsDir, importFrom } = bench(t)
  cpSync(everyday, join(from, 'mine'), { recursive: true })
  const { model: { manifest }, notes } = await importFrom('mine', { labels: join(everyday, 'labels.txt'), preprocessing: 'unit' })
  assert.equal(manifest.name, 'mine')
  assert.deepEqual(manifest.artifacts.map(({ format, layout, files }) => [format, layout, files.map(({ path }) => path)]), [['onnx', 'NCHW', ['model.onnx']], ['tfjs-layers', 'NHWC', ['model.json', 'weights.bin']]])
  assert.deepEqual(notes, [])
  assert.deepEqual(readFileSync(join(modelsDir, 'mine/weights.bin')), readFileSync(join(everyday, 'weights.bin')))
  assert.equal(filesIn(modelsDir).includes('mine/README.md'), false)
  await assertVerified(modelsDir, 'mine')
})

interface LayersJson { modelTopology: { config: { layers: Array<{ class_name: string, config: Record<string, unknown> }> } }, weightsManifest: Array<{ paths: string[] }> }

/** The default model's layers, changed by `edit`. */
function editedLayers (dir: string, edit: (model: LayersJson) => void): void {
  cpSync(everyday, dir, { recursive: true })
  const model = JSON.parse(readFileSync(join(dir, 'model.json'), 'utf8')) as LayersJson
  edit(model)
  writeFileSync(join(dir, 'model.json'), JSON.stringify(model))
}

test('a layer that can’t be converted leaves the model to TensorFlow.js, and that is told in a line', async t => {
  const { from, importFrom } = bench(t)
  editedLayers(join(from, 'odd'), ({ modelTopology: { config: { layers } } }) => { Object.assign(layers.find(layer => layer.class_name === 'MaxPooling2D') ?? {}, { class_name: 'GaussianBlurOfMine' }) })
  const { model, notes } = await importFrom('odd')
  assert.deepEqual(model.manifest.artifacts.map(({ format }) => format), ['tfjs-layers'])
  assert.match(notes.join('\n'), /^no ONNX artifact, TensorFlow\.js alone can run it: .*GaussianBlurOfMine[^\n]*$/)
})

test('a TensorFlow.js shard that is missing, short or elsewhere is an error that names it', async t => {
  const { from, importFrom } = bench(t)
  const dir = join(from, 'mine')
  cpSync(everyday, dir, { recursive: true })
  truncateSync(join(dir, 'weights.bin'), 1_000)
  await assert.rejects(importFrom('mine'), fails(/weights\.bin: 1000 bytes, but the weights that model\.json expects there take 3290004/))
  rmSync(join(dir, 'weights.bin'))
  await assert.rejects(importFrom('mine'), fails(/weights\.bin: missing, but model\.json names it as a shard/))
  editedLayers(join(from, 'outside'), ({ weightsManifest: [group] }) => { Object.assign(group ?? {}, { paths: ['../mine/model.onnx'] }) })
  await assert.rejects(importFrom('outside'), fails(/model\.onnx: \d+ bytes|a file of the model is called/))
})

test('a layers model that ends in sigmoid, or is no model, is an error', async t => {
  const { from, importFrom } = bench(t)
  editedLayers(join(from, 'multi'), ({ modelTopology: { config: { layers } } }) => {
    for (const { config } of layers) if (config['activation'] === 'softmax') config['activation'] = 'sigmoid'
  })
  await assert.rejects(importFrom('multi'), fails(/ends in sigmoid/))
  writeFileSync(join(from, 'package.json'), '{"name": "not a model"}')
  await assert.rejects(importFrom('package.json', { name: 'x' }), fails(/package\.json: has no "modelTopology"/))
  writeFileSync(join(from, 'broken.json'), '{')
  await assert.rejects(importFrom('broken.json'), fails(/broken\.json: can't read it as a TensorFlow\.js model\.json/))
})

/** A graph model as the converter writes it: placeholder, pooling, dense, softmax. */
function writeGraphModel (dir: string, { dims = ['-1', '16', '24', '3'], last = 'Softmax', signature = true }: { dims?: string[], last?: string, signature?: boolean } = {}): void {
  mkdirSync(dir)
  writeFileSync(join(dir, 'group1-shard1of1.bin'), Buffer.alloc(84))
  const shape = { dim: dims.map(size => ({ size })) }
  writeFileSync(join(dir, 'model.json'), JSON.stringify({
    format: 'graph-model',
    modelTopology: { node: [
      { name: 'picture', op: 'Placeholder', attr: { shape: { shape } } }, { name: 'kernel', op: 'Const' }, { name: 'pooled', op: 'Mean', input: ['picture'] },
      { name: 'dense', op: 'MatMul', input: ['pooled', 'kernel'] }, { name: 'scores', op: last, input: ['dense'] }, { name: 'Identity', op: 'Identity', input: ['scores:0'] }
    ] },
    ...(signature ? { signature: { inputs: { picture: { name: 'picture:0', tensorShape: shape } }, outputs: { out: { name: 'Identity:0', tensorShape: { dim: [{ size: '-1' }, { size: '7' }] } } } } } : {}),
    weightsManifest: [{ paths: ['group1-shard1of1.bin'], weights: [{ name: 'kernel', shape: [3, 7], dtype: 'float32' }] }]
  }))
}

test('a TensorFlow.js graph model says size, classes and activation in its signature', async t => {
  const { from, importFrom } = bench(t)
  writeGraphModel(join(from, 'graph'))
  const { model: { manifest } } = await importFrom('graph')
  assert.deepEqual([manifest.input.width, manifest.input.height, manifest.output], [24, 16, { activation: 'softmax', classes: 7 }])
  assert.deepEqual(manifest.artifacts.map(({ format, layout, files }) => [format, layout, files.length]), [['tfjs-graph', 'NHWC', 2]])

  writeGraphModel(join(from, 'bare'), { signature: false, last: 'BiasAdd' })
  const labels = join(from, 'labels.json')
  writeFileSync(labels, '["a", "b", "c", "d", "e", "f", "g"]')
  await assert.rejects(importFrom('bare'), fails(/can’t see how many classes/))
  assert.deepEqual((await importFrom('bare', { labels })).model.manifest.output, { activation: 'logits', classes: 7 })

  writeGraphModel(join(from, 'open'), { dims: ['-1', '-1', '-1', '3'], last: 'Sigmoid' })
  await assert.rejects(importFrom('open'), fails(/ends in sigmoid/))
})

const labelFiles: Array<[string, string]> = [
  ['text', 'a\nb b\nc\nd\ne\n'],
  ['text as Windows writes it', '\uFEFFa\r\nb b\r\nc\r\nd\r\ne\r\n'],
  ['a JSON array', '["a", "b b", "c", "d", "e"]'],
  ['a JSON object by index', '{"4": "e", "0": "a", "1": "b b", "2": "c", "3": "d"}'],
  ['a class index of Keras', '{"0": ["n01", "a"], "1": ["n02", "b b"], "2": ["n03", "c"], "3": ["n04", "d"], "4": ["n05", "e"]}']
]
for (const [what, content] of labelFiles) {
  test(`labels can be ${what}`, async t => {
    const labels = join(temporaryFolder(t), 'labels')
    writeFileSync(labels, content)
    assert.deepEqual((await importOnnx(t, {}, { labels })).model.labels, ['a', 'b b', 'c', 'd', 'e'])
  })
}

const badLabels: Array<[string, string, RegExp]> = [
  ['too few', 'a\nb', /labels: 2 labels, but the model has 5 classes: give with --labels the file that belongs to this model/],
  ['not complete', '{"0": "a", "2": "b"}', /labels: has no label "1": keys must be 0 to 1/],
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
  await assert.rejects(importFrom('small.onnx', { version: '2' }), fails(/small exists already: give --force to replace it, or --name/))
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
  for (const name of ['../small', '.small', 'Größe', 'a/b', '']) await assert.rejects(importFrom('small.onnx', { name }), fails(/can't be a model's name: give --name/))
  await assert.rejects(importFrom('nothing.onnx'), fails(/nothing\.onnx: no such file or folder/))
  writeFileSync(join(from, 'weights.pt'), 'x')
  await assert.rejects(importFrom('weights.pt'), fails(/weights\.pt: can't tell by its ending what it is: ONNX is \.onnx, TensorFlow\.js \.json, Keras \.h5/))
  await assert.rejects(importFrom('.', { name: 'x' }), fails(/a folder without model\.json/))
})

test('a Keras file becomes both artifacts; its labels and preprocessing can’t be in it', async t => {
  const { from, modelsDir, importFrom } = bench(t)
  await writeKerasFile(join(from, 'small.h5'))
  const { model: { manifest }, assumed } = await importFrom('small.h5')
  assert.deepEqual(manifest.artifacts.map(({ format, layout, files }) => [format, layout, files.map(({ path }) => path)]), [['onnx', 'NCHW', ['model.onnx']], ['tfjs-layers', 'NHWC', ['model.json', 'weights.bin']]])
  assert.deepEqual([manifest.input.width, manifest.input.height, manifest.output], [8, 8, { activation: 'softmax', classes: 5 }])
  assert.equal(assumed.length, 2)
  await assertVerified(modelsDir, 'small')
})

test('a file that is no Keras file, or weights of an unknown architecture, is an error that names it', async t => {
  const { from, importFrom } = bench(t)
  writeFileSync(join(from, 'text.h5'), 'not HDF5')
  await assert.rejects(importFrom('text.h5'), fails(/text\.h5: not a readable HDF5 file/))
  await writeKerasFile(join(from, 'small.h5'))
  await assert.rejects(importFrom('small.h5', { architecture: 'resnet51' }), fails(/architecture "resnet51" is not known: resnet50, /))
})

test('MobileNet of TensorFlow.js is prepared as Keras does, unless told otherwise', { skip: without('models') }, async t => {
  const { modelsDir } = bench(t)
  const path = join(assets, 'models/mobilenet_v1_0.25_224-tfjs')
  const { model, assumed } = await importModel({ path, modelsDir, labels: join(path, 'imagenet_labels_1000.json') })
  assert.equal(model.manifest.name, basename(path))
  assert.deepEqual(model.manifest.output, { activation: 'softmax', classes: 1_000 })
  assert.equal(model.labels[12], 'house_finch')
  assert.match(assumed.join('\n'), /^assumed --preprocessing keras-tf, which keras\.applications uses for this architecture/)
  assert.deepEqual(model.manifest.artifacts.map(({ format, files }) => [format, files.length]), [['onnx', 1], ['tfjs-layers', 56]])
  await assertVerified(modelsDir, model.manifest.name)
})

test('an int8 ONNX of the model zoo is read: classes, layout, logits', { skip: without('models') }, async t => {
  const { modelsDir } = bench(t)
  const { model: { manifest } } = await importModel({ path: join(assets, 'models/mobilenetv2-12-int8-onnx/mobilenetv2-12-int8.onnx'), modelsDir, preprocessing: 'imagenet' })
  assert.deepEqual([manifest.input.width, manifest.input.height, manifest.output, manifest.artifacts[0]?.layout], [224, 224, { activation: 'logits', classes: 1_000 }, 'NCHW'])
})

import assert from 'node:assert/strict'
import { cpSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { test } from 'node:test'
import { importModel } from '../src/import/import.ts'
import { assertVerified, bench, fails } from './imports.ts'
import { assets, everyday, filesIn, without } from './models.ts'

test('a TensorFlow.js layers model keeps its files and gets an ONNX artifact; its folder will do', async t => {
  const { from, modelsDir, importFrom } = bench(t)
  cpSync(everyday, join(from, 'mine'), { recursive: true })
  const {
    model: { manifest },
    notes
  } = await importFrom('mine', { labels: join(everyday, 'labels.txt'), preprocessing: 'unit' })
  assert.equal(manifest.name, 'mine')
  assert.deepEqual(
    manifest.artifacts.map(({ format, layout, files }) => [format, layout, files.map(({ path }) => path)]),
    [
      ['onnx', 'NCHW', ['model.onnx']],
      ['tfjs-layers', 'NHWC', ['model.json', 'weights.bin']]
    ]
  )
  assert.deepEqual(notes, [])
  assert.deepEqual(readFileSync(join(modelsDir, 'mine/weights.bin')), readFileSync(join(everyday, 'weights.bin')))
  assert.equal(filesIn(modelsDir).includes('mine/README.md'), false)
  await assertVerified(modelsDir, 'mine')
})

interface LayersJson {
  modelTopology: { config: { layers: Array<{ class_name: string; config: Record<string, unknown> }> } }
  weightsManifest: Array<{ paths: string[] }>
}

/** The layers of everyday, changed by `edit`. */
function editedLayers(dir: string, edit: (model: LayersJson) => void): void {
  cpSync(everyday, dir, { recursive: true })
  const model = JSON.parse(readFileSync(join(dir, 'model.json'), 'utf8')) as LayersJson
  edit(model)
  writeFileSync(join(dir, 'model.json'), JSON.stringify(model))
}

test('a layer that can’t be converted leaves the model to TensorFlow.js, and that is told in a line', async t => {
  const { from, importFrom } = bench(t)
  editedLayers(
    join(from, 'odd'),
    ({
      modelTopology: {
        config: { layers }
      }
    }) => {
      Object.assign(layers.find(layer => layer.class_name === 'MaxPooling2D') ?? {}, {
        class_name: 'GaussianBlurOfMine'
      })
    }
  )
  const { model, notes } = await importFrom('odd')
  assert.deepEqual(
    model.manifest.artifacts.map(({ format }) => format),
    ['tfjs-layers']
  )
  assert.match(notes.join('\n'), /^no ONNX artifact, TensorFlow\.js alone can run it: .*GaussianBlurOfMine[^\n]*$/)
})

test('a TensorFlow.js shard that is missing, short or elsewhere is an error that names it', async t => {
  const { from, importFrom } = bench(t)
  const dir = join(from, 'mine')
  cpSync(everyday, dir, { recursive: true })
  truncateSync(join(dir, 'weights.bin'), 1_000)
  await assert.rejects(
    importFrom('mine'),
    fails(/weights\.bin: 1000 bytes, but the weights that model\.json expects there take 3290004/)
  )
  rmSync(join(dir, 'weights.bin'))
  await assert.rejects(importFrom('mine'), fails(/weights\.bin: missing, but the model refers to it/))
  editedLayers(join(from, 'outside'), ({ weightsManifest: [group] }) => {
    Object.assign(group ?? {}, { paths: ['../mine/model.onnx'] })
  })
  await assert.rejects(importFrom('outside'), fails(/model\.onnx: \d+ bytes|a file of the model is called/))
})

test('a layers model that ends in sigmoid, or is no model, is an error', async t => {
  const { from, importFrom } = bench(t)
  editedLayers(
    join(from, 'multi'),
    ({
      modelTopology: {
        config: { layers }
      }
    }) => {
      for (const { config } of layers) if (config['activation'] === 'softmax') config['activation'] = 'sigmoid'
    }
  )
  await assert.rejects(importFrom('multi'), fails(/ends in sigmoid/))
  writeFileSync(join(from, 'package.json'), '{"name": "not a model"}')
  await assert.rejects(importFrom('package.json', { name: 'x' }), fails(/package\.json: has no "modelTopology"/))
  writeFileSync(join(from, 'broken.json'), '{')
  await assert.rejects(importFrom('broken.json'), fails(/broken\.json: not JSON/))
})

/** A graph model as the converter writes it: placeholder, pooling, dense, softmax. */
function writeGraphModel(
  dir: string,
  {
    dims = ['-1', '16', '24', '3'],
    last = 'Softmax',
    signature = true
  }: { dims?: string[]; last?: string; signature?: boolean } = {}
): void {
  mkdirSync(dir)
  writeFileSync(join(dir, 'group1-shard1of1.bin'), Buffer.alloc(84))
  const shape = { dim: dims.map(size => ({ size })) }
  writeFileSync(
    join(dir, 'model.json'),
    JSON.stringify({
      format: 'graph-model',
      modelTopology: {
        node: [
          { name: 'picture', op: 'Placeholder', attr: { shape: { shape } } },
          { name: 'kernel', op: 'Const' },
          { name: 'pooled', op: 'Mean', input: ['picture'] },
          { name: 'dense', op: 'MatMul', input: ['pooled', 'kernel'] },
          { name: 'scores', op: last, input: ['dense'] },
          { name: 'Identity', op: 'Identity', input: ['scores:0'] }
        ]
      },
      ...(signature
        ? {
            signature: {
              inputs: { picture: { name: 'picture:0', tensorShape: shape } },
              outputs: { out: { name: 'Identity:0', tensorShape: { dim: [{ size: '-1' }, { size: '7' }] } } }
            }
          }
        : {}),
      weightsManifest: [
        { paths: ['group1-shard1of1.bin'], weights: [{ name: 'kernel', shape: [3, 7], dtype: 'float32' }] }
      ]
    })
  )
}

test('a TensorFlow.js graph model says size, classes and activation in its signature', async t => {
  const { from, importFrom } = bench(t)
  writeGraphModel(join(from, 'graph'))
  const {
    model: { manifest }
  } = await importFrom('graph')
  assert.deepEqual(
    [manifest.input.width, manifest.input.height, manifest.output],
    [24, 16, { activation: 'softmax', classes: 7 }]
  )
  assert.deepEqual(
    manifest.artifacts.map(({ format, layout, files }) => [format, layout, files.length]),
    [['tfjs-graph', 'NHWC', 2]]
  )

  writeGraphModel(join(from, 'bare'), { signature: false, last: 'BiasAdd' })
  const labels = join(from, 'labels.json')
  writeFileSync(labels, '["a", "b", "c", "d", "e", "f", "g"]')
  await assert.rejects(importFrom('bare'), fails(/can’t see how many classes/))
  assert.deepEqual((await importFrom('bare', { labels })).model.manifest.output, { activation: 'logits', classes: 7 })

  writeGraphModel(join(from, 'open'), { dims: ['-1', '-1', '-1', '3'], last: 'Sigmoid' })
  await assert.rejects(importFrom('open'), fails(/ends in sigmoid/))
})

test(
  'MobileNet of TensorFlow.js is prepared as Keras does, unless told otherwise',
  { skip: without('models') },
  async t => {
    const { modelsDir } = bench(t)
    const path = join(assets, 'models/mobilenet_v1_0.25_224-tfjs')
    const { model, settings } = await importModel({ path, modelsDir, labels: join(path, 'imagenet_labels_1000.json') })
    assert.equal(model.manifest.name, basename(path))
    assert.deepEqual(model.manifest.output, { activation: 'softmax', classes: 1_000 })
    assert.equal(model.labels[12]?.label, 'house_finch')
    assert.deepEqual(settings.scale, {
      value: 1 / 127.5,
      source: 'assumed',
      from: 'keras.applications prepares pictures so for mobilenet_0.25_224'
    })
    assert.deepEqual(
      model.manifest.artifacts.map(({ format, files }) => [format, files.length]),
      [
        ['onnx', 1],
        ['tfjs-layers', 56]
      ]
    )
    await assertVerified(modelsDir, model.manifest.name)
  }
)

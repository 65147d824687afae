import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { writeKerasFile } from './h5-models.ts'
import { bench, fails, importOnnx } from './imports.ts'
import { writeOnnxFile } from './onnx-models.ts'
import { float, importGraph, meanColours, side, type Body, type Described } from './onnx-graphs.ts'

const front =
  (...steps: Array<[op: string, value: number]>): Body =>
  (graph, picture) =>
    meanColours(
      graph,
      steps.reduce((tensor, [op, value]) => graph.node(op, [tensor, float(graph, [value], [])]), picture)
    )
const bounded: Body = (graph, picture) => {
  const inBytes = graph.node('Clip', [picture, float(graph, [0], []), float(graph, [255], [])])
  return front(['Div', 255])(graph, inBytes)
}

const fronts: Array<[what: string, body: Body, scale: 'assumed' | number]> = [
  ['a factor near 1', front(['Mul', 2]), 'assumed'],
  ['nothing subtracted', front(['Sub', 0]), 'assumed'],
  ['a shift that no mean is', front(['Sub', 1]), 'assumed'],
  ['a mean of 0-1', front(['Sub', 0.5], ['Mul', 2]), 1 / 255],
  ['a mean of 0-255', front(['Sub', 128]), 1],
  ['bounds, and then 255', bounded, 1]
]
for (const [what, body, scale] of fronts) {
  test(`the scale of pixels is read only where the graph tells it: ${what}`, async t => {
    const { settings } = await importGraph(t, body)
    const expected = scale === 'assumed' ? ['assumed', 1 / 255] : ['read', scale]
    assert.deepEqual([settings.scale.source, settings.scale.value], expected)
  })
}

test('E11: the name of a MobileNetV3 is a guess that is told as one; a layer that scales is read', async t => {
  const { from, importFrom } = bench(t)
  await writeKerasFile(join(from, 'plain.h5'), { name: 'MobileNetV3Small' })
  await writeKerasFile(join(from, 'scaling.h5'), { name: 'MobileNetV3Small', rescaled: true })
  const [plain, scaling] = [await importFrom('plain.h5'), await importFrom('scaling.h5')]
  assert.deepEqual([plain.settings.scale.value, plain.settings.scale.source], [1 / 127.5, 'assumed'])
  assert.deepEqual([scaling.settings.scale.value, scaling.settings.scale.source], [1, 'read'])
})

test('E5: equal labels with different ids stay apart, in their order', async t => {
  const { from, importFrom } = bench(t)
  await writeKerasFile(join(from, 'small.h5'))
  const wnids = ['n02012849 crane', 'n03126707 crane', 'n03710637 maillot', 'n03710721 maillot', 'n02123045 tabby']
  const pairs = Object.fromEntries(wnids.map((line, index) => [index, line.split(' ')]))
  writeFileSync(join(from, 'dup_index.json'), JSON.stringify(pairs))
  const { model } = await importFrom('small.h5', { labels: join(from, 'dup_index.json') })
  assert.deepEqual(
    model.labels.map(({ id, label }) => `${id} ${label}`),
    wnids
  )
})

const oneOutput = (...dims: Array<number | string>): Described => ({
  outputs: [{ name: 'scores', type: 'float32', dims }]
})
const refused: Array<[what: string, body: Body, message: RegExp, described?: Described]> = [
  [
    'ends in softmax over one unit',
    (graph, picture) => {
      const pooled = graph.node('Flatten', [graph.node('GlobalAveragePool', [picture])])
      return graph.node('Softmax', [graph.node('MatMul', [pooled, float(graph, [1, 1, 1], [3, 1])])], { axis: 1 })
    },
    /output "scores" gives one score through Softmax, which is 1 for every picture: a single unit needs a sigmoid/,
    oneOutput('N', 1)
  ],
  [
    'sorts its scores',
    (graph, picture) => {
      const k = graph.weight('int64', [1], BigInt64Array.of(3n))
      return graph.node('TopK', [meanColours(graph, picture), k], { axis: 1 })
    },
    /ends in TopK, whose scores are sorted/
  ],
  ['claims classes beyond measure', meanColours, /says that it has 1099511627776 classes/, oneOutput('N', 2 ** 40)],
  [
    'takes pictures beyond measure',
    meanColours,
    /takes pictures of 100000x100000 \(the shape of its input\)/,
    { input: ['N', 3, 100_000, 100_000] }
  ],
  [
    'takes batches beyond measure',
    meanColours,
    /was exported for exactly 100000 pictures at a time, and at most 256 are run/,
    { input: [100_000, 3, side, side] }
  ],
  [
    'has three in both places for colours',
    meanColours,
    /doesn't say where its colour channels are: give --layout/,
    { input: ['N', 3, side, 3] }
  ]
]
for (const [what, body, message, described = {}] of refused) {
  test(`a graph that ${what} is refused with a reason`, async t => {
    await assert.rejects(importGraph(t, body, { described }), fails(message))
  })
}

test('E5: a graph that bounds its probabilities, or takes their logarithm, is understood', async t => {
  const softmax: Body = (graph, picture) => graph.node('Softmax', [meanColours(graph, picture)], { axis: 1 })
  const small: Body = (graph, picture) => graph.node('Add', [softmax(graph, picture), float(graph, [1e-7], [])])
  const ends: Array<[Body, string]> = [
    [(graph, picture) => graph.node('Max', [softmax(graph, picture), float(graph, [0], [])]), 'softmax'],
    [small, 'softmax'],
    [(graph, picture) => graph.node('Log', [small(graph, picture)]), 'logits']
  ]
  for (const [body, activation] of ends) {
    const { value, source } = (await importGraph(t, body)).settings.activation
    assert.deepEqual([value, source], [activation, 'read'])
  }
})

test('A6: weights that a model says lie in itself, or in less than they take, are refused', async t => {
  await assert.rejects(importOnnx(t, { external: 'small.onnx' }), fails(/the values of "dense" lie in itself/))
  const { from, importFrom } = bench(t)
  writeOnnxFile(join(from, 'short.onnx'), { external: 'weights.bin' })
  writeFileSync(join(from, 'weights.bin'), 'abc')
  await assert.rejects(importFrom('short.onnx'), fails(/wants 60 bytes of "weights\.bin", which has 3/))
})

test('a model.json that is not as TensorFlow.js writes it is refused in words', async t => {
  const { from, importFrom } = bench(t)
  const group = { paths: ['weights.bin'], weights: [{ name: 'a', shape: [1], dtype: 'float32' }] }
  const wrong: unknown[] = [
    {},
    [null],
    [{ ...group, paths: 'weights.bin' }],
    [{ ...group, weights: null }],
    [{ ...group, weights: [{ name: 'a', shape: [-3], dtype: 'float32' }] }],
    [{ ...group, weights: [{ name: 'a', shape: 'abc', dtype: 'float32' }] }]
  ]
  for (const weightsManifest of wrong) {
    writeFileSync(join(from, 'model.json'), JSON.stringify({ modelTopology: {}, weightsManifest }))
    await assert.rejects(
      importFrom('model.json', { name: 'x' }),
      fails(/model\.json: field "weightsManifest" is not as TensorFlow\.js writes it/)
    )
  }
})

test('E4: Teachable Machine’s models for grey pictures are refused', async t => {
  const { from, importFrom } = bench(t)
  mkdirSync(join(from, 'tm'))
  writeFileSync(join(from, 'tm/model.json'), '{}')
  writeFileSync(join(from, 'tm/metadata.json'), JSON.stringify({ tmVersion: '2.4.7', grayscale: true }))
  await assert.rejects(importFrom('tm'), fails(/an embedded model, trained on grey pictures/))
})

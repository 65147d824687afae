import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { bench, fails } from './imports.ts'
import { float, importGraph, meanColours, side, type Body, type Described } from './onnx-graphs.ts'

type Step = (...[graph, scores]: Parameters<Body>) => string

const after =
  (...steps: Step[]): Body =>
  (graph, picture) =>
    steps.reduce((scores, step) => step(graph, scores), meanColours(graph, picture))
const op =
  (opType: string, attributes = {}): Step =>
  (graph, scores) =>
    graph.node(opType, [scores], attributes)
const softmax = op('Softmax', { axis: 1 })

/** Two softmaxes, put together by what `join` makes of them. */
const ensemble =
  (join: (graph: Parameters<Body>[0], first: string, second: string) => string): Body =>
  (graph, picture) => {
    const logits = meanColours(graph, picture)
    const doubled = graph.node('Add', [logits, logits])
    return join(graph, softmax(graph, logits), softmax(graph, doubled))
  }

const ends: Array<[string, Body, 'softmax' | 'logits']> = [
  ['a softmax', after(softmax), 'softmax'],
  ['nothing', after(), 'logits'],
  ['a bias', after((graph, scores) => graph.node('Add', [scores, float(graph, [1, 2, 3])])), 'logits'],
  ['a temperature', after((graph, scores) => graph.node('Div', [scores, float(graph, [2], [])])), 'logits'],
  ['a log-softmax', after(op('LogSoftmax', { axis: 1 })), 'logits'],
  ['the exponential of a log-softmax', after(op('LogSoftmax', { axis: 1 }), op('Exp')), 'softmax'],
  ['a softmax that is flattened, cast and named', after(softmax, op('Flatten'), op('Cast', { to: 1 })), 'softmax'],
  [
    'a softmax that is quantized and back',
    after(softmax, (graph, scores) => {
      const scale = [float(graph, [1 / 255], []), graph.weight('uint8', [], Uint8Array.of(0))]
      return graph.node('DequantizeLinear', [graph.node('QuantizeLinear', [scores, ...scale]), ...scale])
    }),
    'softmax'
  ],
  [
    'a softmax written out',
    after(op('Exp'), (graph, scores) =>
      graph.node('Div', [
        scores,
        graph.node('ReduceSum', [scores, graph.weight('int64', [1], BigInt64Array.of(1n))], { keepdims: 1 })
      ])
    ),
    'softmax'
  ],
  [
    'E3: half the sum of two softmaxes',
    ensemble((graph, a, b) => graph.node('Mul', [graph.node('Add', [a, b]), float(graph, [0.5], [])])),
    'softmax'
  ],
  [
    'E3: a sum divided by two',
    ensemble((graph, a, b) => graph.node('Div', [graph.node('Sum', [a, b]), float(graph, [2])])),
    'softmax'
  ],
  ['E3: the mean of two', ensemble((graph, a, b) => graph.node('Mean', [a, b])), 'softmax'],
  [
    'E3: a weighted sum',
    ensemble((graph, a, b) =>
      graph.node('Add', [
        graph.node('Mul', [a, float(graph, [0.7], [])]),
        graph.node('Mul', [float(graph, [0.3], []), b])
      ])
    ),
    'softmax'
  ],
  ['the mean of two that are logits', after((graph, scores) => graph.node('Mean', [scores, scores])), 'logits']
]
for (const [what, body, activation] of ends) {
  test(`an ONNX graph that ends in ${what} ends in ${activation}`, async t => {
    const { settings } = await importGraph(t, body)
    assert.deepEqual([settings.activation.value, settings.activation.source], [activation, 'read'])
  })
}

const refused: Array<[string, Body, RegExp, Described?]> = [
  [
    'sums softmaxes without dividing',
    ensemble((graph, a, b) => graph.node('Add', [a, b])),
    /ends in probabilities that sum to 2 \(Add\): export it with their mean/
  ],
  ['scores each label by itself', after(op('Sigmoid')), /ends in Sigmoid, which scores each label by itself/],
  [
    'multiplies two softmaxes',
    ensemble((graph, a, b) => graph.node('Mul', [a, b])),
    /can't see whether it ends in softmax/
  ],
  [
    'ends before its classifier',
    (graph, picture) => graph.node('GlobalAveragePool', [graph.node('Relu', [picture])]),
    /gives 3 features of the picture \(it ends in GlobalAveragePool\), no scores of classes: export the whole classifier/
  ],
  [
    'makes pictures',
    (graph, picture) => graph.node('Relu', [picture]),
    /is \[N, 3, 16, 16\], no vector with one score a class: this model makes pictures, boxes or features/,
    { outputs: [{ name: 'scores', type: 'float32', dims: ['N', 3, side, side] }] }
  ],
  [
    'gives class numbers',
    after(op('ArgMax', { axis: 1 })),
    /output "scores" is int64, and scores are float32 or float16/,
    { outputs: [{ name: 'scores', type: 'int64', dims: ['N', 1] }] }
  ]
]
for (const [what, body, message, described = {}] of refused) {
  test(`E7: an ONNX graph that ${what} is refused with the way out`, async t => {
    await assert.rejects(importGraph(t, body, { described }), fails(message))
  })
}

test('E9: one sigmoid unit is two labels', async t => {
  const unit: Body = (graph, picture) => {
    const pooled = graph.node('Flatten', [graph.node('GlobalAveragePool', [picture])])
    return graph.node('Sigmoid', [graph.node('MatMul', [pooled, float(graph, [1, 1, 1], [3, 1])])])
  }
  const outputs: Described['outputs'] = [{ name: 'scores', type: 'float32', dims: ['N', 1] }]
  const { model, settings } = await importGraph(t, unit, { described: { outputs } })
  assert.deepEqual(model.manifest.output, { activation: 'sigmoid', classes: 2 })
  assert.equal(settings.activation.source, 'read')
})

const two = (classes: number): Described => ({
  outputs: [
    { name: 'embedding', type: 'float32', dims: ['N', 3] },
    { name: 'scores', type: 'float32', dims: ['N', classes] }
  ]
})
const withEmbedding: Body = (graph, picture) => {
  const pooled = graph.node('GlobalAveragePool', [graph.node('Relu', [picture])])
  return graph.node('MatMul', [
    graph.node('Flatten', [pooled], {}, 'embedding'),
    float(graph, [1, 0, 0, 1, 0, 0], [3, 2])
  ])
}

test('E9: of an embedding and scores the scores are taken; the output is read, kept, and can be given', async t => {
  const { model, settings } = await importGraph(t, withEmbedding, { described: two(2) })
  assert.equal(model.manifest.artifacts[0]?.output, 'scores')
  assert.deepEqual(settings.output, { value: 'scores', source: 'read', from: 'its outputs' })
  const given = await importGraph(t, withEmbedding, { described: two(2), output: 'scores' })
  assert.equal(given.settings.output?.source, 'given')
  await assert.rejects(
    importGraph(t, withEmbedding, { described: two(2), output: 'score' }),
    fails(/has no output "score": its outputs are "embedding" \(3 scores\), "scores" \(2 scores\)/)
  )
})

test('E9: of two outputs that both may be it, the labels decide, or --output is asked for', async t => {
  const twoHeads: Body = (graph, picture) => {
    const scores = meanColours(graph, picture)
    graph.node('MatMul', [scores, float(graph, [1, 0, 0, 1, 1, 1], [3, 2])], {}, 'coarse')
    return scores
  }
  const described: Described = {
    outputs: [
      { name: 'coarse', type: 'float32', dims: ['N', 2] },
      { name: 'scores', type: 'float32', dims: ['N', 3] }
    ]
  }
  await assert.rejects(
    importGraph(t, twoHeads, { described }),
    fails(/has 2 outputs, "coarse" \(2 scores\), "scores" \(3 scores\): say which .* --output coarse/)
  )
  const { from } = bench(t)
  writeFileSync(join(from, 'labels.txt'), 'red\ngreen\nblue\n')
  const { model } = await importGraph(t, twoHeads, { described, labels: join(from, 'labels.txt') })
  assert.equal(model.manifest.artifacts[0]?.output, 'scores')
})

test('E8: half and byte inputs are taken; bytes are served as they are', async t => {
  const half = await importGraph(t, (graph, picture) => softmax(graph, graph.node('Flatten', [picture])), {
    described: { type: 'float16' }
  })
  assert.equal(half.settings.scale.source, 'assumed')
  const bytes: Body = (graph, picture) => after(softmax)(graph, graph.node('Cast', [picture], { to: 1 }))
  const { settings } = await importGraph(t, bytes, { described: { type: 'uint8' } })
  const { scale, mean, std } = settings
  assert.deepEqual([scale.value, mean.value, std.value], [1, [0, 0, 0], [1, 1, 1]])
  assert.deepEqual([scale.source, mean.source, std.source], ['read', 'read', 'read'])
})

const planes = [3, 1, 1]
const fronts: Array<[string, Body, { scale: number; source: 'read' | 'assumed'; channels?: 'RGB' | 'BGR' }]> = [
  ['pixels that nobody scales', after(softmax), { scale: 1 / 255, source: 'assumed' }],
  [
    'pixels scaled to -1..1',
    (graph, picture) =>
      meanColours(
        graph,
        graph.node('Sub', [graph.node('Div', [picture, float(graph, [127.5], [])]), float(graph, [1], [])])
      ),
    { scale: 1, source: 'read' }
  ],
  [
    'pixels normalized as torchvision does, from 0..1',
    (graph, picture) =>
      meanColours(
        graph,
        graph.node('Div', [
          graph.node('Sub', [picture, float(graph, [0.485, 0.456, 0.406], planes)]),
          float(graph, [0.229, 0.224, 0.225], planes)
        ])
      ),
    { scale: 1 / 255, source: 'read', channels: 'RGB' }
  ],
  [
    'means of ImageNet in the order of Caffe',
    (graph, picture) =>
      meanColours(graph, graph.node('Sub', [picture, float(graph, [103.939, 116.779, 123.68], planes)])),
    { scale: 1, source: 'read', channels: 'BGR' }
  ],
  [
    'colours turned round before those means',
    (graph, picture) => {
      const swapped = graph.node('Gather', [picture, graph.weight('int64', [3], BigInt64Array.of(2n, 1n, 0n))], {
        axis: 1
      })
      return meanColours(graph, graph.node('Sub', [swapped, float(graph, [103.939, 116.779, 123.68], planes)]))
    },
    { scale: 1, source: 'read', channels: 'RGB' }
  ]
]
for (const [what, body, { scale, source, channels }] of fronts) {
  test(`what a graph does to pixels is not done twice: ${what}`, async t => {
    const { settings } = await importGraph(t, body)
    assert.deepEqual([settings.scale.value, settings.scale.source], [scale, source])
    if (source === 'read')
      assert.deepEqual(
        [settings.mean.value, settings.std.value],
        [
          [0, 0, 0],
          [1, 1, 1]
        ]
      )
    if (channels !== undefined)
      assert.deepEqual([settings.channels.value, settings.channels.source], [channels, 'read'])
  })
}

test('A7: a circle of nodes is refused, wherever it is', async t => {
  const circle: Body = (graph, picture) => {
    graph.node('Add', [picture, 'second'], {}, 'first')
    return graph.node('Identity', ['first'], {}, 'second')
  }
  await assert.rejects(
    importGraph(t, circle),
    fails(/made\.onnx: .*its nodes form a circle: "first" depends on itself/)
  )
})

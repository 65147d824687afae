import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test, type TestContext } from 'node:test'
import {
  float,
  meanColours,
  onnxBytes,
  side,
  type Body,
  type Described
} from '../../../packages/models/test/onnx-graphs.ts'
import { filesIn, sha256, temporaryFolder } from '../../../packages/models/test/models.ts'
import { importModel } from '../../../packages/models/src/import/import.ts'
import { openModel, type Artifact } from '../../../packages/models/src/index.ts'
import { chooseEngine } from '../../worker/dist/engines/choose.js'
import { tryModel } from '../dist/trial.js'
import { runCommand } from './command.ts'

const softmax: Body = (graph, picture) => graph.node('Softmax', [meanColours(graph, picture)], { axis: 1 })
const ints = (graph: Parameters<Body>[0], ...values: number[]) =>
  graph.weight('int64', [values.length], BigInt64Array.from(values, BigInt))
const unit: Body = (graph, picture) => {
  const pooled = graph.node('Flatten', [graph.node('GlobalAveragePool', [picture])])
  return graph.node('Sigmoid', [graph.node('MatMul', [pooled, float(graph, [1, 1, 1], [3, 1])])])
}
/** A picture with a number added that is the largest of a tensor of 4 TB. */
const greedy: Body = (graph, picture) => {
  const huge = graph.node('ConstantOfShape', [ints(graph, 1_000_000, 1_000_000)])
  return softmax(graph, graph.node('Add', [picture, graph.node('ReduceMax', [huge], { keepdims: 0 })]))
}

async function importInto(t: TestContext, body: Body, described: Described = {}) {
  const [from, modelsDir] = [temporaryFolder(t), temporaryFolder(t)]
  writeFileSync(join(from, 'made.onnx'), onnxBytes(body, described))
  const done = importModel({
    path: join(from, 'made.onnx'),
    modelsDir,
    overrides: { scale: 1 / 255, fit: 'fill' },
    trial: tryModel
  })
  return { done, modelsDir }
}

const serves: Array<[string, Body, Described]> = [
  ['any batch', softmax, {}],
  ['logits', meanColours, {}],
  [
    'E8: batches of four',
    softmax,
    { input: [4, 3, side, side], outputs: [{ name: 'scores', type: 'float32', dims: [4, 3] }] }
  ],
  [
    'E8: halves',
    (graph, picture) => graph.node('Flatten', [graph.node('GlobalAveragePool', [picture])]),
    { type: 'float16' }
  ],
  ['E8: bytes', (graph, picture) => softmax(graph, graph.node('Cast', [picture], { to: 1 })), { type: 'uint8' }],
  ['E9: one sigmoid unit', unit, { outputs: [{ name: 'scores', type: 'float32', dims: ['N', 1] }] }],
  [
    'E9: scores beside an embedding',
    (graph, picture) => {
      const pooled = graph.node('GlobalAveragePool', [graph.node('Relu', [picture])])
      const flat = graph.node('Flatten', [pooled], {}, 'embedding')
      return graph.node('MatMul', [flat, float(graph, [1, 0, 0, 1, 0, 0], [3, 2])])
    },
    {
      outputs: [
        { name: 'embedding', type: 'float32', dims: ['N', 3] },
        { name: 'scores', type: 'float32', dims: ['N', 2] }
      ]
    }
  ]
]
for (const [what, body, described] of serves) {
  test(`what is imported is served: ${what}`, async t => {
    const { done, modelsDir } = await importInto(t, body, described)
    await done
    const model = await openModel(modelsDir, 'made')
    const { engine } = await chooseEngine({ model, choice: 'onnx-cpu', threads: 1 })
    t.after(() => engine.close())
    const size = engine.batchSizes.kind === 'fixed' ? engine.batchSizes.size : 2
    const scores = await engine.run(new Float32Array(size * 3 * side * side), size)
    assert.equal(scores.length, size * model.manifest.output.classes)
  })
}

test('E9: one sigmoid unit gives both labels’ probabilities', async t => {
  const { done } = await importInto(t, unit, { outputs: [{ name: 'scores', type: 'float32', dims: ['N', 1] }] })
  const { model } = await done
  const { engine } = await chooseEngine({ model, choice: 'onnx-cpu', threads: 1 })
  t.after(() => engine.close())
  const values = 3 * side * side
  const scores = await engine.run(new Float32Array(2 * values).fill(0.5, values), 2)
  const expected = [0.5, 0.5, 1 - 1 / (1 + Math.exp(-1.5)), 1 / (1 + Math.exp(-1.5))]
  assert.deepEqual(
    [...scores].map(score => score.toFixed(4)),
    expected.map(score => score.toFixed(4))
  )
})

test('E9: a map from label to probability, as Azure Custom Vision exports it, becomes the tensor that it is made of', async t => {
  const described: Described = {
    outputs: [
      { name: 'classLabel', type: 'int64', dims: ['N'] },
      { name: 'loss', type: 'float32', dims: ['N'] }
    ]
  }
  const body: Body = (graph, picture) => {
    const scores = softmax(graph, picture)
    graph.node('ArgMax', [scores], { axis: 1, keepdims: 0 }, 'classLabel')
    graph.node('ZipMap', [scores], { classlabels_strings: { strings: ['red', 'green', 'blue'] } }, 'loss')
    return scores
  }
  const { done } = await importInto(t, body, described)
  const { model, settings } = await done
  assert.deepEqual(
    settings.labels.value.map(({ label }) => label),
    ['red', 'green', 'blue']
  )
  assert.equal(settings.labels.source, 'read')
  const { engine } = await chooseEngine({ model, choice: 'onnx-cpu', threads: 1 })
  t.after(() => engine.close())
  const pixels = side * side
  const scores = await engine.run(new Float32Array(3 * pixels).fill(1, 0, pixels), 1)
  const red = Math.E / (Math.E + 2)
  assert.deepEqual(
    [...scores].map(score => score.toFixed(4)),
    [red, (1 - red) / 2, (1 - red) / 2].map(score => score.toFixed(4))
  )
})

const refused: Array<[string, Body, RegExp, Described?]> = [
  [
    'E7: fixes the batch inside',
    (graph, picture) =>
      graph.node('Softmax', [graph.node('Reshape', [meanColours(graph, picture), ints(graph, 1, 3)])], { axis: 1 }),
    /made: it can't be served: runs one picture, but not 3 at once: .* export it with a dynamic batch/
  ],
  [
    'takes the softmax over the batch',
    (graph, picture) => graph.node('Softmax', [meanColours(graph, picture)], { axis: 0 }),
    /made: it can't be served: .*no probabilities/
  ],
  [
    'gives other than its shape says',
    (graph, picture) => graph.node('Flatten', [graph.node('Softmax', [picture], { axis: 1 })]),
    /made: it can't be served: .*768 scores an image; the manifest says 3 classes/,
    { outputs: [{ name: 'scores', type: 'float32', dims: ['N', 3] }] }
  ],
  [
    'has an operator that nobody knows',
    (graph, picture) => softmax(graph, graph.node('OperatorOfMine', [picture])),
    /made: it can't be served: .*OperatorOfMine/
  ],
  ['wants terabytes', greedy, /made: it can't be served: /]
]
for (const [what, body, message, described] of refused) {
  test(`a model that ${what} is refused at import, and nothing is left`, async t => {
    const { done, modelsDir } = await importInto(t, body, described)
    await assert.rejects(done, { code: 'MODEL', message })
    assert.deepEqual(filesIn(modelsDir), [])
  })
}

test('the report names what was assumed together at the end, each with its flag, and nothing where all was given', async t => {
  const [from, modelsDir] = [temporaryFolder(t), temporaryFolder(t)]
  mkdirSync(from, { recursive: true })
  writeFileSync(join(from, 'made.onnx'), onnxBytes(softmax))
  writeFileSync(join(from, 'labels.txt'), 'red\ngreen\nblue\n')
  const args = ['import', join(from, 'made.onnx'), '--models-dir', modelsDir, '--labels', join(from, 'labels.txt')]
  const first = await runCommand(t, args)
  assert.equal(first.code, 0, first.complaint)
  assert.match(first.output, /^ {2}onnx: 1 file, .*, verified and run$/m)
  assert.match(first.output, /^ {2}read \(output "scores", Softmax\): activation softmax, classes 3$/m)
  assert.match(first.output, /^Assumed: .*\n( {2}\w+ +\S+ +--[a-z-]+ +\(.*\)\n)+$/m)
  assert.ok(first.output.indexOf('Serve it with') < first.output.indexOf('Assumed'), first.output)
  const second = await runCommand(t, [...args, '--force', '--preprocessing', 'unit', '--fit', 'fill'])
  assert.doesNotMatch(second.output, /[Aa]ssumed/)
  const { input, assumed } = (await openModel(modelsDir, 'made')).manifest
  assert.deepEqual([input.fit, input.cropFraction, assumed], ['fill', 1, undefined], 'E6')
})

test('an artifact with a softmax in its graph and one without are each taken for what they are', async t => {
  const { done } = await importInto(t, softmax)
  const { dir, manifest } = (await done).model
  writeFileSync(join(dir, 'logits.onnx'), onnxBytes(meanColours))
  const [exact] = manifest.artifacts
  assert.ok(exact !== undefined)
  const content = readFileSync(join(dir, 'logits.onnx'))
  const files = [{ path: 'logits.onnx', bytes: content.length, sha256: sha256(content) }]
  const cut: Artifact = { ...exact, path: 'logits.onnx', files }
  const write = async (second: Artifact) => {
    writeFileSync(join(dir, 'manifest.json'), JSON.stringify({ ...manifest, artifacts: [exact, second] }))
    return await openModel(dirname(dir), manifest.name)
  }
  await tryModel(await write({ ...cut, activation: 'logits' }))
  await assert.rejects(tryModel(await write(cut)), {
    code: 'MODEL',
    message: /logits\.onnx: gives scores that are no prob/
  })
})

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { assert as check, asyncProperty, constantFrom, record, type Arbitrary } from 'fast-check'
import { importModel } from '../../../packages/models/src/import/import.ts'
import { ModelError, type Model } from '../../../packages/models/src/index.ts'
import { float, onnxBytes, side, type Body } from '../../../packages/models/test/onnx-graphs.ts'
import { temporaryFolder } from '../../../packages/models/test/models.ts'
import { chooseEngine } from '../../worker/dist/engines/choose.js'
import { rank } from '../../worker/dist/rank.js'
import { tryModel } from '../dist/trial.js'

type Step = (...[graph, tensor]: Parameters<Body>) => string
const op =
  (opType: string, attributes = {}): Step =>
  (graph, tensor) =>
    graph.node(opType, [tensor], attributes)
const dense =
  (units: number): Step =>
  (graph, tensor) =>
    graph.node('MatMul', [
      tensor,
      float(
        graph,
        Array.from({ length: 3 * units }, (_, i) => (i % 5) - 2),
        [3, units]
      )
    ])
const reshape =
  (...dims: number[]): Step =>
  (graph, tensor) =>
    graph.node('Reshape', [tensor, graph.weight('int64', [dims.length], BigInt64Array.from(dims, BigInt))])
const nothing: Step = (_, tensor) => tensor

/** Parts of classifiers, right ones and wrong ones. */
const parts = {
  front: {
    nothing,
    scaled: (graph, picture) => graph.node('Mul', [picture, float(graph, [1 / 255], [])]),
    rectified: op('Relu')
  },
  head: { none: nothing, 'three units': dense(3), 'one unit': dense(1) },
  tail: {
    nothing,
    softmax: op('Softmax', { axis: 1 }),
    'softmax over the batch': op('Softmax', { axis: 0 }),
    sigmoid: op('Sigmoid'),
    'log-softmax': op('LogSoftmax', { axis: 1 }),
    rectified: op('Relu'),
    'fixed to one': reshape(1, 3),
    'free in its batch': reshape(-1, 3),
    'one long row': reshape(1, -1)
  }
} satisfies Record<string, Record<string, Step>>

const anyModel = record({
  front: constantFrom(...Object.keys(parts.front)),
  head: constantFrom(...Object.keys(parts.head)),
  tail: constantFrom(...Object.keys(parts.tail)),
  batch: constantFrom('N', 1, 4),
  scores: constantFrom(1, 3, 'C')
})
type AnyModel = typeof anyModel extends Arbitrary<infer Value> ? Value : never

function bytesOf({ front, head, tail, batch, scores }: AnyModel): Uint8Array {
  const step = (part: Record<string, Step>, name: string): Step => part[name] ?? nothing
  const body: Body = (graph, picture) => {
    const pooled = graph.node('GlobalAveragePool', [step(parts.front, front)(graph, picture)])
    return step(parts.tail, tail)(graph, step(parts.head, head)(graph, graph.node('Flatten', [pooled])))
  }
  return onnxBytes(body, {
    input: [batch, 3, side, side],
    outputs: [{ name: 'scores', type: 'float32', dims: [batch, scores] }]
  })
}

/** Every batch that a worker may form gets a row of probabilities for each picture. */
async function assertServes(model: Model): Promise<void> {
  const { engine } = await chooseEngine({ model, choice: 'onnx-cpu', threads: 1 })
  const { classes, activation } = model.manifest.output
  try {
    for (const size of engine.batchSizes.kind === 'fixed' ? [engine.batchSizes.size] : [1, 2, 5]) {
      const batch = Float32Array.from({ length: size * 3 * side * side }, (_, index) => ((index * 89) % 256) / 255)
      const scores = await engine.run(batch, size)
      assert.equal(scores.length, size * classes)
      for (let index = 0; index < size; index++) {
        const row = rank(scores.subarray(index * classes, (index + 1) * classes), model.labels, {
          activation,
          topK: classes
        })
        const sum = row.reduce((total, { probability }) => total + probability, 0)
        assert.ok(Math.abs(sum - 1) < 1e-3, JSON.stringify(row))
      }
    }
  } finally {
    await engine.close()
  }
}

test('whatever an ONNX model is made of: it is imported and then served, or refused in one sentence', async t => {
  const [from, modelsDir] = [temporaryFolder(t), temporaryFolder(t)]
  const seen = { served: 0, refused: 0 }
  const property = asyncProperty(anyModel, async made => {
    writeFileSync(join(from, 'made.onnx'), bytesOf(made))
    try {
      const { model } = await importModel({ path: join(from, 'made.onnx'), modelsDir, force: true, trial: tryModel })
      await assertServes(model)
      seen.served++
    } catch (error) {
      assert.ok(error instanceof ModelError || (error as { code?: string }).code === 'MODEL', String(error))
      assert.match((error as Error).message, /^[^\n]{20,1000}$/)
      seen.refused++
    }
  })
  const right = { front: 'nothing', head: 'three units', batch: 'N', scores: 3 } as const
  const examples: Array<[AnyModel]> = [
    [{ ...right, tail: 'softmax' }],
    [{ ...right, tail: 'nothing', batch: 4 }],
    [{ ...right, head: 'one unit', tail: 'sigmoid', scores: 1 }],
    [{ ...right, tail: 'fixed to one' }],
    [{ ...right, tail: 'one long row' }]
  ]
  await check(property, { numRuns: Number(process.env['IMPORTS'] ?? 8), examples })
  assert.ok(seen.served >= 3 && seen.refused >= 2, JSON.stringify(seen))
})

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { importModel, type ImportOptions } from '../../../packages/models/src/import/import.ts'
import { root, temporaryFolder } from '../../../packages/models/test/models.ts'
import { openScorer } from '../src/scorer.ts'

const found = join(root, '../shared/found/models')
const ship = join(root, 'test/fixtures/ship.jpg')

/** Models that others found wrongly served, with what their own frameworks answer. */
const right: Array<[id: string, file: string, photo: string, probabilities: number[], given?: Partial<ImportOptions>]> =
  [
    ['E1', 'tm_tfjs', join(found, 'tm_photo.png'), [0.00005, 0.00014, 0.99981]],
    ['E2', 'flowers.h5', ship, [0.2165], { labels: join(found, 'flowers.txt') }],
    [
      'E3',
      'ensemble_softmax.onnx',
      ship,
      [0.174, 0.09, 0.737],
      { preprocessing: 'unit', overrides: { fit: 'fill', kernel: 'nearest' } }
    ]
  ]
for (const [id, file, photo, expected, given = {}] of right) {
  const skip = existsSync(join(found, file)) ? false : `needs ../shared/found/models/${file}, which is not here`
  test(`${id}: ${file} answers as its own framework does`, { skip }, async t => {
    const modelsDir = temporaryFolder(t)
    const { model } = await importModel({ path: join(found, file), modelsDir, name: 'found', ...given })
    const scorer = await openScorer(model, { precision: 'exact' })
    t.after(() => scorer.close())
    const answer = await scorer.score({ path: photo })
    for (const [index, probability] of expected.entries())
      assert.ok(Math.abs((answer[index] ?? 0) - probability) < 6e-4, `${index}: ${answer[index]}, not ${probability}`)
  })
}

import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Prediction } from '@streamsight/protocol'
import { root } from '../scripts/bootstrap.js'
import { startProcess } from './support/process.ts'
import { fixture, startSystem, type System } from './support/system.ts'

interface Described {
  name: string
  versions: Array<{
    version: string
    precisions: Array<{ precision: string; reason: string }>
    preprocessing: Record<string, unknown>
    assumed: string[]
    labels: Array<{ label: string; id?: string }>
  }>
}

const get = async ({ url }: System, path: string) => (await (await fetch(url + path)).json()) as unknown

const photos = join(root, '../shared/assets/photos')
const withoutPhotos = !existsSync(photos) && 'needs ../shared/assets/photos, which is not here'

/** The settings as they are where nobody sets any. */
const byDefault = { MODELS: '' }

test('the default model names what it sees by label, index and id, and tells what it is', async t => {
  const system = await startSystem(t, { env: byDefault })
  const engine = await system.workers[0]?.untilLog('an engine was chosen', ({ event }) => event === 'engine')

  await t.test('a prediction has all fields of the protocol', async () => {
    const { body } = await system.predict(fixture('airplane.png'), { query: '?topK=3' })
    assert.deepEqual(body.model, { name: 'efficientnet-lite0', version: '1' })
    const [first] = body.predictions ?? []
    assert.deepEqual(Object.keys(first ?? {}), ['label', 'probability', 'index', 'id'] satisfies Array<
      keyof Prediction
    >)
    assert.deepEqual([first?.label, first?.index, first?.id], ['airliner', 404, 'n02690373'])
    for (const { index, id } of body.predictions ?? []) assert.match(`${index} ${id}`, /^\d+ n\d{8}$/)
  })

  await t.test('it knows two dogs, a parrot and a cat', { skip: withoutPhotos }, async () => {
    const best = async (file: string) =>
      (await system.predict(readFileSync(join(photos, file)))).body.predictions?.[0] ?? assert.fail(file)
    assert.equal((await best('pets.jpg')).label, 'Boston_bull')
    assert.equal((await best('parrot.jpg')).label, 'macaw')
    // ImageNet's five breeds of the domestic cat, tabby to Egyptian_cat.
    const { index } = await best('cat.bmp')
    assert.ok(index >= 281 && index <= 285, `${index}`)
  })

  await t.test('the list says which precision runs and why, as the engine event does', async () => {
    const { models } = (await get(system, '/models')) as { models: Array<Described['versions'][number]> }
    const runs = { precision: engine?.['precision'], reason: engine?.['precisionReason'] }
    assert.deepEqual(models[0]?.precisions, [runs])
    assert.match(String(runs.reason), /^(int8: \w+ found|exact: no \w+.*)$/)
  })

  await t.test('its description has labels with ids, two of them cranes, and its preprocessing', async () => {
    const { name, versions } = (await get(system, '/models/efficientnet-lite0')) as Described
    const [only] = versions
    assert.deepEqual([name, versions.length, only?.version, only?.assumed], ['efficientnet-lite0', 1, '1', []])
    assert.deepEqual(
      only?.labels.flatMap(({ label, id }, index) => (label === 'crane' ? [[index, id]] : [])),
      [
        [134, 'n02012849'],
        [517, 'n03126707']
      ]
    )
    assert.equal(only.labels.length, 1_000)
    assert.deepEqual(only.preprocessing, {
      channels: 'RGB',
      fit: 'cover',
      cropFraction: 0.875,
      kernel: 'cubic',
      scale: 1,
      mean: [127, 127, 127],
      std: [128, 128, 128]
    })
  })
})

test('PRECISION=exact is obeyed, and said', async t => {
  const system = await startSystem(t, { env: byDefault, workerEnv: { PRECISION: 'exact', ENGINE: 'onnx-cpu' } })
  const engine = await system.workers[0]?.untilLog('an engine was chosen', ({ event }) => event === 'engine')
  assert.deepEqual([engine?.['precision'], engine?.['precisionReason']], ['float16', 'exact: PRECISION=exact'])
  assert.equal((await system.predict(fixture('airplane.png'))).body.predictions?.[0]?.label, 'airliner')
})

test('PRECISION=int8 for a model without an int8 artifact ends the worker with the way out', async t => {
  const worker = startProcess({ args: ['apps/worker/dist/main.js'], env: { MODELS: 'everyday', PRECISION: 'int8' } })
  t.after(() => worker.stop('SIGKILL'))
  assert.equal(await worker.exited(), 1)
  assert.match(
    worker.noise.join('\n'),
    /PRECISION=int8, but model "everyday" has no int8 artifact: use PRECISION=auto, or add one/
  )
})

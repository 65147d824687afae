import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertQuiet } from './faults/oracle.ts'
import { twoModels } from './support/models.ts'
import { fixture, fixtures, startSystem, type System } from './support/system.ts'

const get = async ({ url }: System, path: string) => (await (await fetch(url + path)).json()) as Record<string, unknown>

test('one worker serves two models', async t => {
  const system = await startSystem(t, { env: { MODELS: 'everyday, loud' }, workerEnv: { MODELS_DIR: twoModels(t) } })

  await t.test('each request is answered by the one it names, or by the first', async () => {
    const answers = await Promise.all(
      fixtures.flatMap(({ image, label }) =>
        ['', '?model=everyday', '?model=loud'].map(async query => ({
          query,
          label,
          answer: await system.predict(image, { query })
        }))
      )
    )
    for (const {
      query,
      label,
      answer: { status, body }
    } of answers) {
      const loud = query === '?model=loud'
      assert.equal(status, 200)
      assert.deepEqual(body.model, loud ? { name: 'loud', version: '2' } : { name: 'everyday', version: '1' })
      assert.equal(body.predictions?.[0]?.label, loud ? label.toUpperCase() : label)
    }
  })

  await t.test('both are listed', async () => {
    const listed = (await get(system, '/models')) as { models: Array<{ engines: string[] }> }
    const rest = { classes: 10, input: { width: 32, height: 32 }, engines: listed.models[0]?.engines, workers: 1 }
    assert.deepEqual(listed, {
      models: [
        { name: 'everyday', version: '1', ...rest },
        { name: 'loud', version: '2', ...rest }
      ]
    })
  })

  await t.test('another is refused with the names of those that are served', async () => {
    const { status, body } = await system.predict(fixture('cat.png'), { query: '?model=resnet50' })
    assert.equal(status, 404)
    assert.deepEqual(body.error, {
      code: 'MODEL_NOT_FOUND',
      message: 'Model "resnet50" is not served here; served are: everyday, loud'
    })
  })

  await t.test('the same Idempotency-Key for both is two requests, and again for one of them is one', async () => {
    const ask = (model: string) =>
      system.predict(fixture('cat.png'), { query: `?model=${model}`, headers: { 'idempotency-key': 'a' } })
    const [quiet, loud, again] = [await ask('everyday'), await ask('loud'), await ask('loud')]
    assert.deepEqual(
      [quiet, loud, again].map(({ body }) => body.predictions?.[0]?.label),
      ['cat', 'CAT', 'CAT']
    )
    assert.equal(again.body.requestId, loud.body.requestId)
    assert.notEqual(quiet.body.requestId, loud.body.requestId)
  })

  await assertQuiet(system, ['everyday', 'loud'])
})

test('a gateway whose second model has no worker serves the first, and says what is missing', async t => {
  const system = await startSystem(t, { gatewayEnv: { MODELS: 'everyday,loud' }, awaits: 'ready' })
  assert.equal((await system.predict(fixture('cat.png'))).status, 200)
  const { status, headers, body } = await system.predict(fixture('cat.png'), { query: '?model=loud' })
  assert.deepEqual([status, body.error?.code, headers.get('retry-after')], [503, 'NO_WORKERS', '5'])
  assert.deepEqual(await get(system, '/health/ready'), {
    status: 'ok',
    reasons: ['no warm worker of model loud was seen lately']
  })
  assert.deepEqual(await get(system, '/health/startup'), {
    status: 'unavailable',
    reasons: ['no warm worker of model loud was seen lately']
  })
})

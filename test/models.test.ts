import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { createConnection, keysOf } from '@streamsight/protocol'
import { assertQuiet } from './faults/oracle.ts'
import { temporaryFolder } from './support/folder.ts'
import { silentLog } from './support/log.ts'
import { everydayAs, twoModels } from './support/models.ts'
import { fixture, fixtures, startSystem, type System } from './support/system.ts'
import { until } from './support/until.ts'

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
    const rest = {
      classes: 10,
      input: { width: 32, height: 32 },
      engines: listed.models[0]?.engines,
      precisions: [{ precision: 'float16', reason: 'exact: the model has no int8 artifact' }],
      workers: 1
    }
    assert.deepEqual(listed, {
      models: [
        { name: 'everyday', version: '1', versions: ['1'], ...rest },
        { name: 'loud', version: '2', versions: ['2'], ...rest }
      ]
    })
  })

  await t.test('each is described with its own labels, also after Redis was wiped', async () => {
    const labelsOf = async (model: string) => {
      const { versions } = (await get(system, `/models/${model}`)) as {
        versions: Array<{ labels?: Array<{ label: string }> }>
      }
      return versions[0]?.labels?.map(({ label }) => label)
    }
    assert.deepEqual((await labelsOf('loud'))?.slice(0, 2), ['AIRPLANE', 'AUTOMOBILE'])
    const redis = createConnection({ url: system.redis.url, name: 'test', log: silentLog })
    await redis.connect()
    t.after(() => redis.destroy())
    await redis.flushAll()
    await until('the worker is seen again', async () => (await labelsOf('everyday'))?.[0] === 'airplane')
    const about = keysOf(system.prefix, 'everyday').about('*')
    await until('the description is written again', async () => (await redis.keys(about)).length === 1)
    const [key = ''] = await redis.keys(about)
    assert.ok((await redis.ttl(key)) > 0, 'nobody has to clear it away')
  })

  await t.test('one that is not served has no description', async () => {
    const response = await fetch(`${system.url}/models/resnet50`)
    assert.equal(response.status, 404)
    assert.equal(((await response.json()) as { error: { code: string } }).error.code, 'MODEL_NOT_FOUND')
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

test('a worker that finds another version under its model’s name says so, and both are listed', async t => {
  const system = await startSystem(t)
  assert.ok(!system.workers[0]?.lines.some(({ event }) => event === 'other-version'), 'the first is alone')
  const modelsDir = temporaryFolder(t)
  everydayAs(join(modelsDir, 'everyday'), { version: '2', labels: labels => labels.toUpperCase() })
  const second = system.addWorker(2, { env: { MODELS_DIR: modelsDir } })
  const warning = await second.untilLog('it warns', ({ event }) => event === 'other-version')
  assert.deepEqual([warning['model'], warning['version'], warning['others']], ['everyday', '2', ['1']])

  const listed = await until('both are seen', async () => {
    const { models } = (await get(system, '/models')) as { models: Array<{ version: string; versions: string[] }> }
    return models.length === 2 ? models : undefined
  })
  assert.deepEqual(
    listed.map(({ version, versions }) => ({ version, versions })).toSorted((a, b) => (a.version < b.version ? -1 : 1)),
    [
      { version: '1', versions: ['1', '2'] },
      { version: '2', versions: ['1', '2'] }
    ]
  )
  const { versions } = (await get(system, '/models/everyday')) as {
    versions: Array<{ version: string; labels: Array<{ label: string }> }>
  }
  assert.deepEqual(Object.fromEntries(versions.map(({ version, labels }) => [version, labels[3]?.label])), {
    1: 'cat',
    2: 'CAT'
  })
})

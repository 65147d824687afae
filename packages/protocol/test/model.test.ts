import { randomUUID } from 'node:crypto'
import { after, before, test } from 'node:test'
import { array, assert, asyncProperty, constantFrom, nat, oneof, record } from 'fast-check'
import { startRedis } from '../../../scripts/redis.js'
import { openRedis } from '../../../test/support/redis.ts'
import { connect } from './lab.ts'
import { createWorld, type World } from './world.ts'

/** More for a long search, another seed for another one. A failure prints the seed and path that repeat it. */
const { FC_RUNS: runs = '60', FC_SEED: seed = '1' } = process.env

let redis: Awaited<ReturnType<typeof startRedis>>

before(async () => {
  redis = await startRedis()
})
after(() => redis.stop())

const n = nat({ max: 11 })
const work = record({
  act: constantFrom<keyof World['steps']>(
    'enqueue',
    'askOther',
    'read',
    'finish',
    'fail',
    'claim',
    'crash',
    'handBack',
    'renew',
    'cancel',
    'check',
    'leave'
  ),
  n
})
const loss = record({
  act: constantFrom<keyof World['losses']>(
    'flushAll',
    'deleteStream',
    'trimStream',
    'destroyGroup',
    'deleteConsumer',
    'strayAck',
    'expireOutcome',
    'flushScripts'
  ),
  n
})
const acts = array(oneof({ weight: 5, arbitrary: work }, { weight: 1, arbitrary: loss }), {
  maxLength: 60,
  size: 'max'
})

test('whatever happens in whatever order, every open request is answered once and nothing is left behind', async t => {
  const [commands, blocking] = [await connect(t, redis.url), await connect(t, redis.url)]
  const raw = await openRedis(t, redis.url)
  await assert(
    asyncProperty(acts, async acts => {
      const world = createWorld({ commands, redis: raw, blocking, prefix: `t${randomUUID().slice(0, 8)}` })
      for (const { act, n } of acts) {
        await { ...world.steps, ...world.losses }[act](n)
        await world.assertHolds()
      }
      await world.answerAll()
      await world.assertQuiet()
    }),
    { numRuns: Number(runs), seed: Number(seed), includeErrorInReport: true }
  )
})

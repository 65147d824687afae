import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { withWatchdog } from '../src/watchdog.ts'

function watch(ms: number, work: Promise<string>) {
  const wedged: string[] = []
  return {
    wedged,
    outcome: withWatchdog(
      {
        what: 'loading',
        ms,
        onWedged: what => {
          wedged.push(what)
        }
      },
      work
    )
  }
}

test('work that ends in time is nobody’s concern, whether it succeeds or fails', async () => {
  const good = watch(20, Promise.resolve('done'))
  const bad = watch(20, Promise.reject(new Error('broken')))
  assert.equal(await good.outcome, 'done')
  await assert.rejects(bad.outcome, /broken/)
  await sleep(40)
  assert.deepEqual([good.wedged, bad.wedged], [[], []])
})

test('work that takes longer is reported once, with its name', async () => {
  const { wedged, outcome } = watch(
    5,
    sleep(60).then(() => 'late')
  )
  assert.equal(await outcome, 'late')
  assert.deepEqual(wedged, ['loading took longer than 5 ms'])
})

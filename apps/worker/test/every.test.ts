import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AwayError } from '@streamsight/protocol'
import type { Logger } from '@streamsight/service'
import { until } from '../../../test/support/until.ts'
import { every } from '../src/every.ts'

/** What a task that ends like this, one after the other, leaves in the log. */
async function eventsOf(ends: Array<Error | undefined>): Promise<unknown[]> {
  const events: unknown[] = []
  const log = {
    info: ({ event }: { event: string }) => events.push(event),
    warn: ({ event }: { event: string }) => events.push(event)
  }
  let turn = 0
  const stop = every(1, {
    what: 'test it',
    async task() {
      const end = ends[turn++]
      if (end) throw end
    },
    log: log as unknown as Logger
  })
  await until('every turn was taken', () => turn > ends.length)
  stop()
  return events
}

test('what fails again and again is one line, and its end is another', async () => {
  const refused = new Error('NOPERM')
  assert.deepEqual(await eventsOf([undefined, refused, refused, undefined, undefined]), [
    'repeated-failed',
    'repeated-passed'
  ])
})

test('that Redis is away is not told for each task', async () => {
  assert.deepEqual(await eventsOf([new AwayError('gone'), new AwayError('gone'), undefined]), [])
})

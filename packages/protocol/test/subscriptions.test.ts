import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Link } from '../src/link.ts'
import { createSubscriptions } from '../src/subscriptions.ts'

/** A socket that notes what is said on it. */
function noting(said: string[]): Link {
  const client = {
    subscribe: async (channels: string | string[]) => void said.push(`SUBSCRIBE ${String(channels)}`),
    unsubscribe: async (channel: string) => void said.push(`UNSUBSCRIBE ${channel}`)
  }
  return { send: async (_what: string, call: (on: unknown) => unknown) => await call(client) } as unknown as Link
}

test('17. a channel that nobody wants any more when a socket was restored, and was not in use yet, is left', async () => {
  const said: string[] = []
  const link = noting(said)
  let current: Link | undefined = link
  const subscriptions = createSubscriptions(() => current)
  await subscriptions.subscribe('a', () => {})
  await subscriptions.subscribe('b', () => {})
  current = undefined
  await subscriptions.restore(link)
  await subscriptions.unsubscribe('a')
  current = link
  await subscriptions.leaveUnwanted()
  assert.deepEqual(said, ['SUBSCRIBE a', 'SUBSCRIBE b', 'SUBSCRIBE a,b', 'UNSUBSCRIBE a'])
  assert.equal(subscriptions.size, 1)
})

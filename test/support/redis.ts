import type { TestContext } from 'node:test'
import { createClient } from 'redis'

/** A connection of a test's own, straight to Redis and with all of its commands: to look, to break, to pretend. */
export async function openRedis(t: Pick<TestContext, 'after'>, url: string) {
  const client = createClient({
    url,
    RESP: 3,
    maintNotifications: 'disabled',
    disableClientInfo: true,
    socket: { reconnectStrategy: retries => Math.min(20 * retries, 200) }
  })
  // Tests that stop Redis know that they did.
  client.on('error', () => {})
  await client.connect()
  t.after(() => client.destroy())
  return client
}

export type Redis = Awaited<ReturnType<typeof openRedis>>

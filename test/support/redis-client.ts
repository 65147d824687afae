import { createClient } from 'redis'

/** A client of a test's own, straight to Redis and independent of what is tested. It may do everything. */
export async function redisClient(url: string) {
  const client = createClient({ url, RESP: 3, name: 'test', disableOfflineQueue: true })
  // It breaks with the rest when Redis is killed, and comes back by itself.
  client.on('error', () => {})
  await client.connect()
  return client
}

export type RedisClient = Awaited<ReturnType<typeof redisClient>>

import { randomUUID } from 'node:crypto'
import type { System } from '../support/system.ts'
import { emptyTally, send, type Load, type Tally } from './oracle.ts'

/** One of so many clients leaves its first attempt. */
const leavesOneIn = 3

/**
 * Clients that send each picture twice with one Idempotency-Key, as one that lost patience does: at the same time, or after
 * leaving the first. Every answer must be its picture's.
 */
export async function driveKeyed(
  { predict }: Pick<System, 'predict'>,
  { concurrency, until: ends }: Load
): Promise<Tally> {
  const tally = emptyTally()
  let next = 0
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      while (!ends()) await sendTwice(next++)
    })
  )
  return tally

  async function sendTwice(i: number): Promise<void> {
    const headers = { 'idempotency-key': randomUUID() }
    const attempt = (signal?: AbortSignal) => ({
      predict: (image: Buffer) => predict(image, { headers, ...(signal === undefined ? {} : { signal }) })
    })
    if (i % leavesOneIn !== 0) {
      await Promise.all([send(attempt(), i, { tally }), send(attempt(), i, { tally })])
      return
    }
    // Who leaves has no answer, and is not counted.
    const leaving = send(attempt(AbortSignal.timeout(Math.floor(Math.random() * 100))), i, { tally: emptyTally() })
    await send(attempt(), i, { tally })
    await leaving
  }
}

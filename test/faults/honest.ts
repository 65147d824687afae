import { Readable } from 'node:stream'
import { Agent } from 'undici'
import { fixtures, type System } from '../support/system.ts'
import { pause } from './oracle.ts'

export interface Service {
  /** How often each status was answered; "another's" for another picture's answer, else why there was none. */
  answers: Record<string, number>
  p99Ms: number
  slowestMs: number
}

/**
 * `count` requests at a steady rate by clients that do nothing wrong, each on a new connection, as from somebody who just came. Every
 * other one streams its picture, so that nobody knows beforehand how long it is.
 */
export async function serviceOf(
  { url }: Pick<System, 'url'>,
  { count, perSecond }: { count: number; perSecond: number }
): Promise<Service> {
  const strangers = new Agent({ pipelining: 0 })
  const answers: Record<string, number> = {}
  const times: number[] = []
  const sent: Array<Promise<void>> = []
  for (let i = 0; i < count; i++) {
    sent.push(ask(i))
    await pause(1_000 / perSecond)
  }
  await Promise.all(sent)
  await strangers.close()
  const sorted = times.toSorted((a, b) => a - b)
  const [p99Ms = 0, slowestMs = 0] = [sorted[Math.ceil(0.99 * count) - 1], sorted.at(-1)].map(ms => Math.round(ms ?? 0))
  return { answers, p99Ms, slowestMs }

  async function ask(i: number): Promise<void> {
    const { image, label } = fixtures[i % fixtures.length] as (typeof fixtures)[number]
    const startedMs = performance.now()
    const answer = await post(i % 2 === 0 ? image : Readable.from([image]), label).catch(
      (error: NodeJS.ErrnoException) => error.code ?? error.message
    )
    times.push(performance.now() - startedMs)
    answers[answer] = (answers[answer] ?? 0) + 1
  }

  async function post(image: Buffer | Readable, label: string): Promise<string> {
    const { statusCode, body } = await strangers.request({
      origin: url,
      path: '/predict',
      method: 'POST',
      headers: { 'content-type': 'image/jpeg' },
      body: image
    })
    const answer = (await body.json()) as { predictions?: Array<{ label: string }> }
    return statusCode === 200 && answer.predictions?.[0]?.label !== label ? "another's" : String(statusCode)
  }
}

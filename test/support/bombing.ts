import { readFileSync, writeFileSync } from 'node:fs'
import { errorTable } from '../../apps/gateway/dist/errors.js'
import type { Bomb } from './bombs/bomb.ts'
import { allowedCodes } from './fuzzing.ts'
import { fixtures, many, type Answer, type System } from './system.ts'

/** Milliseconds between the pictures of honest clients, so that they are served at ease where nothing disturbs. */
const honestEveryMs = 20

/** Bombs at a time: as many as decodes run beside each other. */
const concurrency = 4

/** A file of more bytes costs others what it costs to carry it, bomb or not. */
const smallBytes = 1_000_000

/** What a worker may grow by: MAX_DECODE_BYTES by default, the uploads that it holds, and what was freed but not collected. */
export const maxGrowthMb = 400

export interface Blast {
  name: string
  answer: string
  ms: number
  /** By how much the worker's memory grew at most meanwhile; undefined where the system does not say. */
  growthMb: number | undefined
}

export interface BombReport {
  /** Each bomb alone. */
  alone: Blast[]
  /** By how much the worker's memory grew at most, bombs alone and together. */
  growthMb: number | undefined
  /** Of honest clients, the 99th percentile: alone, beside bombs of little bytes, beside those of megabytes, which any upload of that size costs. */
  quietP99Ms: number
  p99Ms: number
  largeP99Ms: number
  deaths: number
  offences: string[]
}

/** Each bomb alone, then all of them together, beside clients who send photos. */
export async function dropBombs(
  system: System,
  bombs: readonly Bomb[],
  { rounds, onProgress }: { rounds: number; onProgress: (name: string) => void }
): Promise<BombReport> {
  const offences: string[] = []
  const worker = watchMemory(system)
  const quiet = honestClients(system)
  await new Promise(resolve => setTimeout(resolve, 4_000))
  const quietP99Ms = await quiet.stop(offences)

  const alone: Blast[] = []
  for (const bomb of bombs) {
    onProgress(bomb.name)
    alone.push({ ...(await drop(bomb)), growthMb: worker.peakMb() })
  }

  const small = bombs.filter(({ image }) => image.length <= smallBytes)
  const p99Ms = await together(small, 'the small ones')
  const largeP99Ms = await together(
    bombs.filter(bomb => !small.includes(bomb)),
    'the large ones'
  )
  const growthMb = worker.peakMb()
  const deaths = system.workers.reduce((sum, { starts }) => sum + starts - 1, 0)
  const peaks = [growthMb, ...alone.map(({ growthMb }) => growthMb)].filter(mb => mb !== undefined)
  const most = peaks.length > 0 ? Math.max(...peaks) : undefined
  if (deaths > 0) offences.push(`${deaths} workers died`)
  if (most !== undefined && most > maxGrowthMb) offences.push(`the worker grew by ${most} MB`)
  return { alone, growthMb: most, quietP99Ms, p99Ms, largeP99Ms, deaths, offences }

  /** The 99th percentile of honest clients meanwhile, in milliseconds. */
  async function together(some: readonly Bomb[], which: string): Promise<number> {
    if (some.length === 0) return NaN
    const honest = honestClients(system)
    onProgress(`${which}, ${rounds} times, ${concurrency} at once`)
    await many(rounds * some.length, concurrency, async i => await drop(some[i % some.length] as Bomb))
    return await honest.stop(offences)
  }

  async function drop({ name, image }: Bomb): Promise<Omit<Blast, 'growthMb'>> {
    const startedMs = performance.now()
    const answer = await system.predict(image).catch((error: unknown) => String(error))
    const wrong = wrongWith(answer)
    if (wrong !== undefined) offences.push(`${name}: ${wrong}`)
    const said = typeof answer === 'string' ? answer : `${answer.status} ${answer.body.error?.code ?? 'ok'}`
    return { name, answer: said, ms: Math.round(performance.now() - startedMs) }
  }
}

/** What a client must never get for a picture, whatever it is; undefined for what it may get. */
function wrongWith(answer: Answer | string): string | undefined {
  if (typeof answer === 'string') return answer
  const { status, body } = answer
  if (status === 200) return body.success ? undefined : JSON.stringify(body)
  const code = allowedCodes.find(code => code === body.error?.code)
  return code !== undefined && errorTable[code].status === status ? undefined : `${status} with ${JSON.stringify(body)}`
}

/** Sends a photo every few milliseconds, whether or not those before it were answered. */
function honestClients(system: System) {
  const photos = fixtures.filter(({ file }) => file.endsWith('.jpg'))
  const times: number[] = []
  const wrong: string[] = []
  const pending = new Set<Promise<void>>()
  let sent = 0
  const timer = setInterval(() => {
    const photo = photos[sent++ % photos.length]
    if (photo === undefined) return
    const answered = send(photo.image).finally(() => pending.delete(answered))
    pending.add(answered)
  }, honestEveryMs)

  return {
    /** Waits for the last answers; the 99th percentile in milliseconds. */
    async stop(offences: string[]): Promise<number> {
      clearInterval(timer)
      await Promise.all(pending)
      offences.push(...wrong)
      return Math.round(times.toSorted((a, b) => a - b)[Math.floor(times.length * 0.99)] ?? 0)
    }
  }

  async function send(image: Buffer): Promise<void> {
    const startedMs = performance.now()
    const answer = await system.predict(image).catch((error: unknown) => String(error))
    times.push(performance.now() - startedMs)
    if (typeof answer === 'string') wrong.push(`an honest client: ${answer}`)
    else if (answer.status !== 200) wrong.push(`an honest client: ${answer.status} ${answer.body.error?.code}`)
  }
}

/** The worker's peak of resident memory, over what it was at the beginning. Only Linux keeps one. */
function watchMemory({ workers }: System) {
  const pid = () => workers[0]?.pid ?? 0
  const peak = () => {
    if (process.platform !== 'linux') return undefined
    const kb = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid()}/status`, 'utf8'))?.[1]
    return Number(kb) / 1_024
  }
  const start = () => {
    if (process.platform === 'linux') writeFileSync(`/proc/${pid()}/clear_refs`, '5')
  }
  start()
  const before = peak() ?? 0
  return {
    /** Since it was asked last. */
    peakMb(): number | undefined {
      const mb = peak()
      start()
      return mb === undefined ? undefined : Math.round(mb - before)
    }
  }
}

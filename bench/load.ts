import { setTimeout as sleep } from 'node:timers/promises'
import { Pool } from 'undici'

/** An upload, ready to be sent: the body, and its type with the boundary. */
export interface Upload {
  body: Buffer
  contentType: string
}

/** One answered request. */
export interface Sample {
  /** When it was to be sent, in milliseconds since the load began. */
  atMs: number
  /** From when it was to be sent to the last byte of the answer. */
  ms: number
  /** `ok`, the error code of the answer, `WRONG` for another picture's, or `LOST` where none came. */
  code: string
  /** Milliseconds by stage, as the server says in `Server-Timing`. */
  stages: Record<string, number>
}

export interface Load {
  /** Address of the server. */
  url: string
  uploads: readonly Upload[]
  /** How long it is measured; what is open at the end is waited for. */
  durationMs: number
  /** Milliseconds after which an unanswered request counts as lost; none of these servers takes a minute. */
  lostAfterMs?: number
  /** Whether an answer is the one for the upload of that index; counted as `WRONG` if not. */
  isRight?: (answer: string, upload: number) => boolean
}

export interface LoadResult {
  samples: Sample[]
  /** When it was measured, in milliseconds since the load began. */
  window: Window
}

export interface Window {
  fromMs: number
  toMs: number
}

/**
 * `clients` clients, each of which sends its next picture as soon as it has an answer. Measured from when each has had its
 * first: until then queues are filling, and waits are shorter than they will be.
 */
export async function closedLoop({ clients, ...load }: Load & { clients: number }): Promise<LoadResult> {
  return await measure(load, clients, async (send, { open, isOver }) => {
    let waiting = clients
    await Promise.all(
      Array.from({ length: clients }, async () => {
        await send(performance.now())
        if (--waiting === 0) open()
        while (!isOver()) await send(performance.now())
      })
    )
  })
}

/**
 * Pictures arrive at random, `perSecond` on average, whether or not the server keeps up: a Poisson process. Latency counts
 * from when a picture was to be sent, so that a server, or this generator, that stalls does not hide it.
 */
export async function openLoop({ perSecond, ...load }: Load & { perSecond: number }): Promise<LoadResult> {
  return await measure(load, null, async (send, { open, isOver }) => {
    const sent: Array<Promise<void>> = []
    open()
    for (let nextMs = performance.now(); !isOver(); nextMs += exponential(1_000 / perSecond)) {
      const waitMs = nextMs - performance.now()
      if (waitMs > 1) await sleep(waitMs)
      sent.push(send(nextMs))
    }
    await Promise.all(sent)
  })
}

/** `count` pictures at once. */
export async function burst({ count, ...load }: Omit<Load, 'durationMs'> & { count: number }): Promise<LoadResult> {
  return await measure({ ...load, durationMs: Infinity }, null, async (send, { open }) => {
    open()
    await Promise.all(Array.from({ length: count }, () => send(performance.now())))
  })
}

type Send = (atMs: number) => Promise<void>
/** `open` begins the time that is measured. */
interface Watch {
  open: () => void
  isOver: () => boolean
}

async function measure(
  { url, uploads, durationMs, lostAfterMs = 60_000, isRight = () => true }: Load,
  connections: number | null,
  drive: (send: Send, watch: Watch) => Promise<void>
): Promise<LoadResult> {
  const pool = new Pool(url, { connections, pipelining: 1, headersTimeout: lostAfterMs, bodyTimeout: lostAfterMs })
  const startedMs = performance.now()
  const samples: Sample[] = []
  let next = 0
  let fromMs = Infinity
  const elapsedMs = () => performance.now() - startedMs

  await drive(
    async atMs => {
      const index = next++ % uploads.length
      const { code, stages } = await post(pool, uploads[index] as Upload, text => isRight(text, index)).catch(
        (error: Error) => ({ code: `LOST ${error.name}`, stages: {} })
      )
      samples.push({ atMs: atMs - startedMs, ms: performance.now() - atMs, code, stages })
    },
    {
      open() {
        fromMs = elapsedMs()
      },
      isOver: () => elapsedMs() >= fromMs + durationMs
    }
  )
  await pool.close()
  return { samples, window: { fromMs, toMs: fromMs + durationMs } }
}

async function post(
  pool: Pool,
  { body, contentType }: Upload,
  isRight: (answer: string) => boolean
): Promise<Pick<Sample, 'code' | 'stages'>> {
  const response = await pool.request({
    method: 'POST',
    path: '/predict',
    headers: { 'content-type': contentType },
    body
  })
  const text = await response.body.text()
  if (response.statusCode === 200)
    return { code: isRight(text) ? 'ok' : 'WRONG', stages: stagesOf(response.headers['server-timing']) }
  const [, code = `HTTP ${response.statusCode}`] = /"code":"([A-Z_]+)"/.exec(text) ?? []
  return { code, stages: {} }
}

function stagesOf(header: string | string[] | undefined): Record<string, number> {
  const stages: Record<string, number> = {}
  for (const [, name = '', ms] of String(header ?? '').matchAll(/(\w+);dur=([\d.]+)/g)) stages[name] = Number(ms)
  return stages
}

function exponential(mean: number): number {
  return -mean * Math.log(1 - Math.random())
}

import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { Prediction } from '@streamsight/protocol'
import { root } from '../../scripts/bootstrap.js'
import { freePort, startRedis } from '../../scripts/redis.js'
import { startProcess, type Process } from './process.ts'
import { until } from './until.ts'

export interface SystemOptions {
  workers?: number
  /** Start of the keys; a random one unless a test must know it beforehand. */
  prefix?: string
  /** Settings of both apps. */
  env?: Record<string, string>
  gatewayEnv?: Record<string, string>
  workerEnv?: Record<string, string>
  /** Where the apps reach Redis; a proxy, say. */
  redisUrl?: string
  redis?: Awaited<ReturnType<typeof startRedis>>
  /** Node arguments that start a worker; the real one unless a test brings hooks. */
  workerArgs?: string[]
  /** Starts workers again that die, as `npm start` does. */
  restart?: boolean
  /** What must be green before the test begins: `startup` where every model of the gateway has a worker. */
  awaits?: 'startup' | 'ready'
}

/** The answer of the gateway to a picture. */
export interface Answer {
  status: number
  headers: Headers
  body: {
    success: boolean
    requestId: string
    predictions?: Prediction[]
    model?: { name: string; version: string }
    error?: { code: string; message: string }
  }
}

export interface PredictOptions {
  headers?: Record<string, string>
  /** With its question mark. */
  query?: string
  signal?: AbortSignal
}

/** Pictures of ours and what the model everyday says to them. */
export const fixtures: ReadonlyArray<{ file: string; label: string; image: Buffer }> = Object.entries(
  JSON.parse(readFileSync(join(root, 'test/fixtures/expected.json'), 'utf8')) as Record<string, string>
).map(([file, label]) => ({ file, label, image: readFileSync(join(root, 'test/fixtures', file)) }))

/** A picture of ours by its file name. */
export function fixture(file: string): Buffer {
  const found = fixtures.find(candidate => candidate.file === file)
  if (found === undefined) throw new Error(`no fixture ${file}`)
  return found.image
}

/** `count` calls, `concurrency` at a time. */
export async function many<T>(count: number, concurrency: number, call: (i: number) => Promise<T>): Promise<T[]> {
  const results: T[] = []
  let next = 0
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      while (next < count) {
        const i = next++
        results[i] = await call(i)
      }
    })
  )
  return results
}

/** Sends one picture as a raw body to the gateway at `url`. */
export async function predictAt(url: string, image: Buffer, options: PredictOptions = {}): Promise<Answer> {
  const { headers = {}, query = '', signal } = options
  const response = await fetch(`${url}/predict${query}`, {
    method: 'POST',
    headers: { 'content-type': 'image/jpeg', ...headers },
    body: new Uint8Array(image),
    ...(signal === undefined ? {} : { signal })
  })
  return { status: response.status, headers: response.headers, body: (await response.json()) as Answer['body'] }
}

/** A whole system in processes of its own: Redis, a gateway and workers, all ready. Torn down with the test. */
export async function startSystem(t: Pick<TestContext, 'after'>, options: SystemOptions = {}) {
  const redis = options.redis ?? (await startRedis())
  const port = await freePort()
  const prefix = options.prefix ?? `t${randomUUID().slice(0, 8)}`
  // The fixtures are drawn for everyday's ten classes and mean little to the default model.
  const shared = {
    REDIS_URL: options.redisUrl ?? redis.url,
    REDIS_PREFIX: prefix,
    MODELS: 'everyday',
    // Larger batches would be measured at every start of a worker, for a second of CPU time.
    BATCH_MAX_SIZE: '8',
    ...options.env
  }
  const workers: Process[] = []
  t.after(stop)
  const gateways = [startGateway()]
  for (let slot = 1; slot <= (options.workers ?? 1); slot++) addWorker(slot)
  const url = `http://127.0.0.1:${port}`
  await untilReady()

  return {
    url,
    port,
    prefix,
    redis,
    workers,
    /** The gateway that runs now. */
    get gateway(): Process {
      return gateways.at(-1) as Process
    },
    addWorker,
    /** Another gateway on the same port, once the one before is gone. */
    async restartGateway(): Promise<void> {
      await gateways.at(-1)?.exited()
      gateways.push(startGateway())
      await untilReady()
    },
    untilReady,
    predict: (image: Buffer, options?: PredictOptions): Promise<Answer> => predictAt(url, image, options),
    stop
  }

  function startGateway(): Process {
    return startProcess({
      args: ['apps/gateway/dist/main.js'],
      env: { ...shared, PORT: String(port), HOST: '127.0.0.1', SHUTDOWN_DELAY_MS: '0', ...options.gatewayEnv }
    })
  }

  function addWorker(
    slot: number,
    { args = options.workerArgs, env = {} }: { args?: string[] | undefined; env?: Record<string, string> } = {}
  ): Process {
    const worker = startProcess({
      args: args ?? ['apps/worker/dist/main.js'],
      env: { ...shared, WORKER_SLOT: String(slot), ...options.workerEnv, ...env },
      restart: options.restart ?? false
    })
    workers.push(worker)
    return worker
  }

  async function untilReady(): Promise<void> {
    if (workers.length === 0) {
      await gateways.at(-1)?.untilLog('the gateway listens', ({ event }) => event === 'ready')
      return
    }
    await Promise.all(
      workers.map(worker => worker.untilLog('a worker is ready', ({ event }) => event === 'ready', 60_000))
    )
    await until(
      'the gateway is ready',
      async () => (await isGreen(options.awaits ?? 'startup')) && (await isGreen('ready'))
    )
  }

  async function isGreen(question: 'startup' | 'ready'): Promise<boolean> {
    return (await fetch(`${url}/health/${question}`).catch(() => undefined))?.status === 200
  }

  async function stop(): Promise<void> {
    await Promise.all(gateways.map(gateway => gateway.stop('SIGKILL')))
    await Promise.all(workers.map(worker => worker.stop('SIGKILL')))
    await redis.stop()
  }
}

export type System = Awaited<ReturnType<typeof startSystem>>

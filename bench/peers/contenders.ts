import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { ensureRedis, freePort, redisArgs } from '../../scripts/redis.js'
import { root } from '../../scripts/bootstrap.js'
import { resnet50Sized } from '../resnet50-sized.ts'
import { startSystem } from '../system.ts'
import type { Programs, ProgramOptions } from './programs.ts'
import { openRedis } from '../../test/support/redis.ts'

/** Each name is also the one in tables and plots. */
export type ContenderName = 'Streamsight' | 'recipe' | 'FastAPI' | 'LitServe' | 'in-process'

/** A server that answers `POST /predict`, of which only one is measured at a time. */
export interface Contender {
  name: ContenderName
  /** How it was set up, for the reader of the figures. */
  setup: string
  url: string
  /** Keeps it from using the CPU while another is measured. */
  halt: () => void
  proceed: () => void
  stop: () => Promise<void>
}

/** What starts a contender. `interpreter` is Python's. */
export interface Ground {
  programs: Programs
  modelsDir: string
  interpreter: string
}

/** Engine threads of each contender, all its workers together; the recipe's TensorFlow takes all cores by itself. */
const threads = availableParallelism()

/** Gateway, Redis and workers with the settings of `npm start`. Idle they only renew their heartbeats, so nothing halts them. */
export async function startOurs(modelsDir: string, workers = 1): Promise<Contender> {
  const system = await startSystem({ workers, env: { MODELS: resnet50Sized, MODELS_DIR: modelsDir } })
  return {
    name: 'Streamsight',
    setup: `gateway, Redis and ${workers} worker${workers === 1 ? '' : 's'}, ${threads} engine threads together, batches of at most ${system.maxBatch}`,
    url: system.url,
    halt() {},
    proceed() {},
    async stop() {
      await system.stop()
    }
  }
}

export async function startInProcess({ programs, modelsDir }: Omit<Ground, 'interpreter'>): Promise<Contender> {
  const port = await freePort()
  const args = ['--import', 'tsx', 'bench/peers/in-process.ts', modelsDir, resnet50Sized, String(threads), String(port)]
  const program = await programs.start({
    name: 'in-process',
    command: process.execPath,
    args,
    env: {},
    isReady: () => answers(port)
  })
  return {
    name: 'in-process',
    setup: `Fastify that decodes and infers in its own process, ${threads} engine threads, no queue and no batches`,
    url: urlOf(port),
    ...program
  }
}

export async function startFastApi(ground: Ground): Promise<Contender> {
  const port = await freePort()
  const program = await ground.programs.start(
    python('fastapi_server', ground, { PORT: String(port), THREADS: String(threads) }, () => answers(port))
  )
  return {
    name: 'FastAPI',
    setup: `one uvicorn process that decodes and infers ${threads} pictures at once, each on one engine thread, no batches`,
    url: urlOf(port),
    ...program
  }
}

export async function startLitServe(ground: Ground): Promise<Contender> {
  const port = await freePort()
  const program = await ground.programs.start(
    python('litserve_server', ground, { PORT: String(port), THREADS: String(threads) }, () => answers(port))
  )
  return {
    name: 'LitServe',
    setup: `${threads} workers of one engine thread, batches of at most 8 that wait at most 10 ms`,
    url: urlOf(port),
    ...program
  }
}

export interface Recipe extends Contender {
  /** What its Redis says: requests put on the list and never collected by the web server, and those still on the list. */
  ledger: () => Promise<{ uncollected: number; queued: number }>
  addWorker: () => Promise<void>
}

/** Flask, a Redis of its own, and one worker that polls it. */
export async function startRecipe(ground: Ground): Promise<Recipe> {
  const [port, redisPort] = [await freePort(), await freePort()]
  const redisCommand = [...redisArgs({ port: redisPort, maxMemoryMb: 4_096 }), '--loglevel', 'notice']
  const redis = await ground.programs.start({
    name: 'recipe_redis',
    command: await ensureRedis(),
    args: redisCommand,
    env: {},
    isReady: output => /ready to accept connections/i.test(output)
  })
  const env = { PORT: String(port), REDIS_PORT: String(redisPort), TF_CPP_MIN_LOG_LEVEL: '2' }
  const commands = await openRedis({ after: () => {} }, `redis://127.0.0.1:${redisPort}`)
  const worker = python('recipe_worker', ground, env, output => output.includes('ready'))
  const running = await Promise.all(
    [python('recipe_web', ground, env, () => answers(port)), worker].map(ground.programs.start)
  )

  return {
    name: 'recipe',
    setup: 'Flask, its own Redis and a Keras worker on all cores, batches of at most 32, polling every 250 ms',
    url: urlOf(port),
    halt: () => {
      for (const { halt } of running) halt()
    },
    proceed: () => {
      for (const { proceed } of running) proceed()
    },
    async stop() {
      commands.destroy()
      await Promise.all(running.map(({ stop }) => stop()))
      await redis.stop()
    },
    async ledger() {
      const stats = await commands.info('commandstats')
      const calls = (command: string) =>
        Number(new RegExp(`^cmdstat_${command}:calls=(\\d+)`, 'm').exec(stats)?.[1] ?? 0)
      // The web server deletes each answer that it collects.
      return { uncollected: calls('rpush') - calls('del'), queued: await commands.lLen('image_queue') }
    },
    async addWorker() {
      running.push(await ground.programs.start({ ...worker, name: 'recipe_worker-2' }))
    }
  }
}

function python(
  script: string,
  { modelsDir, interpreter }: Ground,
  env: Record<string, string>,
  isReady: ProgramOptions['isReady']
): ProgramOptions {
  return {
    name: script,
    command: interpreter,
    args: [join(root, 'bench', 'peers', 'python', `${script}.py`)],
    env: { MODEL: join(modelsDir, resnet50Sized, 'model.onnx'), PYTHONDONTWRITEBYTECODE: '1', ...env },
    isReady
  }
}

function urlOf(port: number): string {
  return `http://127.0.0.1:${port}`
}

/** Whether somebody answers there, be it that there is no such page. */
async function answers(port: number): Promise<boolean> {
  return await fetch(`${urlOf(port)}/health`).then(
    ({ status }) => status !== 503,
    () => false
  )
}

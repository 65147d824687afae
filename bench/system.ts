import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createConnection, keysOf } from '@streamsight/protocol'
import { root } from '../scripts/bootstrap.js'
import { freePort, startRedis } from '../scripts/redis.js'
import { memoryEnv, nodeArgs as usualNodeArgs } from '../scripts/supervisor.js'
import { silentLog } from '../test/support/log.ts'
import { until } from '../test/support/until.ts'

export interface SystemOptions {
  workers?: number
  env?: Record<string, string>
  /** Node arguments that start a worker; the real one unless a simulated one is wanted. */
  workerArgs?: string[]
  /** Further settings of one worker, by its slot. */
  workerEnv?: (slot: number) => Record<string, string>
  /** Node arguments for gateway and workers, before their own: `--cpu-prof`, say. */
  nodeArgs?: string[]
}

/** What is served unless a bench brings a model: so small that what surrounds it shows. */
const benchModel = 'everyday'

/** Node arguments of a worker whose engine only waits. */
export const simulatedWorker = ['--import', 'tsx', 'bench/simulated-worker.ts']

/** A line of a log, as far as the bench reads it. */
export interface LogLine {
  name: string
  time: number
  event?: string
  batchSize?: number
  maxBatch?: number
  worker?: string
  ms?: number
  eventLoopDelay?: { p50Ms: number; p99Ms: number; maxMs: number }
}

/** Gateway, workers and a Redis of its own: the programs that `npm start` starts, with the same settings. Logs go to files, so that reading them costs nothing while it is measured. */
export async function startSystem({
  workers = 1,
  env = {},
  workerArgs = ['apps/worker/dist/main.js'],
  workerEnv = () => ({}),
  nodeArgs = []
}: SystemOptions = {}) {
  const logs = mkdtempSync(join(tmpdir(), 'streamsight-bench-'))
  const redis = await startRedis({ args: ['--maxmemory', '4gb'] })
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const models = env['MODELS'] ?? benchModel
  const shared = { REDIS_URL: redis.url, PORT: String(port), HOST: '127.0.0.1', ...env, MODELS: models }
  const threads = String(Math.max(1, Math.floor(availableParallelism() / workers)))
  const children = new Map<string, ChildProcess>()
  launch('gateway', ['apps/gateway/dist/main.js'], shared)
  for (let slot = 1; slot <= workers; slot++)
    launch(`worker-${slot}`, workerArgs, {
      ENGINE_THREADS: threads,
      ...shared,
      WORKER_SLOT: String(slot),
      ...workerEnv(slot)
    })
  process.once('exit', () => {
    for (const pid of [redis.pid, ...[...children.values()].flatMap(child => child.pid ?? [])]) kill(pid)
  })
  const commands = createConnection({ url: redis.url, name: 'bench', log: silentLog })
  await commands.connect()
  await until('every worker is ready', everyWorkerReady, 180_000).catch(async (error: unknown) => {
    await stop()
    throw error
  })

  return {
    url,
    /** Process ids by name: gateway, worker-1 …, redis. */
    get pids(): Record<string, number> {
      return { ...Object.fromEntries([...children].map(([name, { pid = 0 }]) => [name, pid])), redis: redis.pid }
    },
    /** Bytes that Redis holds, and that it has moved, since it was started. */
    async redisBytes(): Promise<{ held: number; moved: number }> {
      const info = await commands.info()
      const field = (name: string) => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1])
      return { held: field('used_memory'), moved: field('total_net_input_bytes') + field('total_net_output_bytes') }
    },
    /** Jobs on the stream. */
    queueDepth: (): Promise<number> => commands.xLen(keysOf('ss', models).jobs),
    /** Images that a worker runs together. */
    maxBatch: linesOf('worker-1').find(({ event }) => event === 'ready')?.maxBatch ?? 1,
    linesOf,
    stop
  }

  /** Ends everything in order and removes the logs. Returns each process's last words, which have its event-loop delay. */
  async function stop(): Promise<LogLine[]> {
    commands.destroy()
    for (const names of [['gateway'], [...children.keys()].filter(name => name !== 'gateway')])
      await Promise.all(names.map(end))
    await redis.stop()
    const last = [...children.keys()].flatMap(name => linesOf(name).filter(({ event }) => event === 'stop'))
    rmSync(logs, { recursive: true })
    return last
  }

  /** What is left of a system whose bench failed. */
  function kill(pid: number): void {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It has ended.
    }
  }

  function launch(name: string, args: string[], processEnv: Record<string, string>): void {
    const file = openSync(join(logs, name), 'w')
    const child = spawn(process.execPath, [...usualNodeArgs, ...nodeArgs, ...args], {
      cwd: root,
      env: { PATH: process.env['PATH'] ?? '', ...memoryEnv, ...processEnv },
      stdio: ['ignore', file, file]
    })
    closeSync(file)
    child.once('exit', code => {
      if (code)
        console.error(`${name} ended with code ${code}:\n${readFileSync(join(logs, name), 'utf8').slice(-2_000)}`)
    })
    children.set(name, child)
  }

  async function everyWorkerReady(): Promise<boolean> {
    if ([...children.values()].some(({ exitCode }) => exitCode !== null))
      throw new Error('a process ended before the system was ready')
    const metrics = await fetch(`${url}/metrics`)
      .then(response => response.text())
      .catch(() => '')
    return Number(/^streamsight_workers_ready\S* (\d+)$/m.exec(metrics)?.[1]) === workers
  }

  function linesOf(name: string): LogLine[] {
    return readFileSync(join(logs, name), 'utf8')
      .split('\n')
      .flatMap(line => (line.startsWith('{') ? [JSON.parse(line) as LogLine] : []))
  }

  async function end(name: string): Promise<void> {
    const child = children.get(name)
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGTERM')
    await ended
  }
}

export type System = Awaited<ReturnType<typeof startSystem>>

import { hostname } from 'node:os'
import { kill } from 'node:process'
import { createClock, createConnection, limits, type Consumer } from '@streamsight/protocol'
import { listOf, type Logger } from '@streamsight/service'
import type { Config } from './config.ts'
import { warmModelServer } from './model-server.ts'
import { loadModel, type LoadOptions } from './load.ts'
import { every } from './serve.ts'
import { createExclusive } from './exclusive.ts'

export interface WorkerOptions {
  config: Config
  log: Logger
  pid: number
  /** Put around the real parts by the fault suite, which breaks them. */
  wrap?: LoadOptions['wrap'] & { consumer?: (consumer: Consumer) => Consumer }
}

/** Loads and warms the models, and only then joins their groups. Rejects if a model or Redis can't be had. */
export async function startWorker({ config, log, pid, wrap = {} }: WorkerOptions) {
  const name = `${hostname()}-${config.WORKER_SLOT}`
  const onWedged = (what: string): void => {
    log.fatal({ event: 'wedged', what }, 'Ending this process: it hangs')
    // By force: `process.exit` waits for threads that hang in a library's native code.
    kill(pid, 'SIGKILL')
  }
  const models = await inTurn(listOf(config.MODELS), model => loadModel(model, { config, log, onWedged, wrap }))

  const connect = (purpose: string, bringsImages = false) =>
    createConnection({ url: config.REDIS_URL, name: `${name}:${purpose}`, log, bringsImages })
  const commands = connect('commands')
  const parts = models.map(loaded => ({ loaded, blocking: connect(`blocking:${loaded.model.manifest.name}`, true) }))
  const connections = [commands, ...parts.map(({ blocking }) => blocking)]
  await Promise.all(connections.map(connection => connection.connect()))
  const clock = createClock(commands)
  await clock.sync()
  const stopSyncing = every(limits.clockSyncMs, clock.sync)

  const turns = createExclusive()
  // One after the other: an engine that is measured beside another one looks slower than it is.
  const warm = await inTurn(parts, part =>
    warmModelServer({ ...part, name, pid, config, commands, clock, turns, log, onWedged, wrapConsumer: wrap.consumer })
  )
  const lanes = await inTurn(warm, lane => lane.start())

  return {
    /** Takes nothing new, finishes what it has begun, and signs out. */
    async stop(): Promise<void> {
      await Promise.all(lanes.map(lane => lane.stop()))
      stopSyncing()
      for (const connection of connections) connection.destroy()
      await Promise.all(models.flatMap(({ inference, decoder }) => [inference.close(), decoder.close()]))
    }
  }
}

async function inTurn<T, R>(items: readonly T[], task: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  for (const item of items) results.push(await task(item))
  return results
}

import { hostname } from 'node:os'
import { kill } from 'node:process'
import {
  createClock,
  createConnection,
  createRegistration,
  keysOf,
  limits,
  type Connection,
  type Consumer
} from '@streamsight/protocol'
import { listOf, type Logger } from '@streamsight/service'
import type { Config } from './config.ts'
import { unlessAborted } from './abort.ts'
import { claimName, pidSpace } from './claim-name.ts'
import { firstReportOf, warmModelServer } from './model-server.ts'
import { loadModel, type LoadOptions } from './load.ts'
import { every } from './every.ts'
import { createExclusiveLock } from './exclusive.ts'

export interface WorkerOptions {
  config: Config
  log: Logger
  pid: number
  /** Aborted when the process is told to end, in the middle of starting perhaps. */
  stopping?: AbortSignal
  /** Put around the real parts by the fault suite, which breaks them. */
  wrap?: LoadOptions['wrap'] & { consumer?: (consumer: Consumer) => Consumer }
}

/**
 * Loads and warms the models, and only then joins their groups. Rejects if a model or Redis can't be had, and with
 * the reason of `stopping` as soon as that is aborted; then it has signed out again.
 */
export async function startWorker({
  config,
  log,
  pid,
  stopping = new AbortController().signal,
  wrap = {}
}: WorkerOptions) {
  const wanted = `${hostname()}-${config.WORKER_SLOT}`
  const onWedged = (what: string): void => {
    log.fatal({ event: 'wedged', what }, 'Ending this process: it hangs')
    // By force: `process.exit` waits for threads that hang in a library's native code.
    kill(pid, 'SIGKILL')
  }
  const models = await inTurn(listOf(config.MODELS), model =>
    unlessAborted(stopping, () => loadModel(model, { config, log, onWedged, wrap }))
  )

  const connections: Connection[] = []
  let stopSyncing = () => {}
  let signOut = async () => {}
  try {
    return await join()
  } catch (error) {
    await signOut()
    disconnect()
    throw error
  }

  async function join() {
    const commands = await connect(`${wanted}:commands`)
    const clock = createClock(commands)
    await clock.sync()
    stopSyncing = every(limits.clockSyncMs, { what: 'read the clock of Redis', task: clock.sync, log })
    const parts = models.map(loaded => ({
      loaded,
      registration: createRegistration(commands, keysOf(config.REDIS_PREFIX, loaded.model.manifest.name), clock),
      firstReport: (name: string) => firstReportOf(loaded, { name, pid, pidSpace })
    }))
    const name = await claimName({ wanted, parts, pid, log })
    signOut = async () => {
      await Promise.allSettled(parts.map(({ registration }) => registration.remove(name)))
    }

    const shared = { config, commands, clock, lock: createExclusiveLock(), log, onWedged, stopping }
    // One after the other: an engine that is measured beside another one looks slower than it is.
    const warm = await inTurn(parts, async ({ loaded, registration, firstReport }) =>
      warmModelServer({
        ...shared,
        loaded,
        registration,
        firstReport: firstReport(name),
        blocking: await connect(`${name}:blocking:${loaded.model.manifest.name}`, true),
        wrapConsumer: wrap.consumer
      })
    )
    const servers = await inTurn(warm, server => server.start())
    return { stop: () => stop(servers) }
  }

  /** Takes nothing new, finishes what it has begun, and signs out. */
  async function stop(servers: Array<{ stop: () => Promise<void> }>): Promise<void> {
    await Promise.all(servers.map(server => server.stop()))
    disconnect()
    await Promise.all(models.flatMap(({ inference, decoder }) => [inference.close(), decoder.close()]))
  }

  /** Resolves once Redis is there. */
  async function connect(name: string, bringsImages = false): Promise<Connection> {
    const connection = createConnection({ url: config.REDIS_URL, name, log, bringsImages })
    connections.push(connection)
    await unlessAborted(stopping, () => connection.connect())
    return connection
  }

  function disconnect(): void {
    stopSyncing()
    for (const connection of connections) connection.destroy()
  }
}

async function inTurn<T, R>(items: readonly T[], task: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  for (const item of items) results.push(await task(item))
  return results
}

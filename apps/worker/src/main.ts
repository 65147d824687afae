import closeWithGrace from 'close-with-grace'
import { ConfigError, createLogger, endLog, loadConfig, watchEventLoop } from '@streamsight/service'
import { configSchema } from './config.ts'
import { startWorker } from './worker.ts'

async function main(): Promise<void> {
  const config = loadConfig(configSchema, process.env)
  const log = createLogger({ name: 'worker', level: config.LOG_LEVEL, pretty: process.stdout.isTTY })
  const eventLoop = watchEventLoop()
  log.info({ event: 'start', models: config.MODELS, engine: config.ENGINE, slot: config.WORKER_SLOT }, 'Starting')

  const stopping = new AbortController()
  const starting = startWorker({ config, log, pid: process.pid, stopping: stopping.signal })
  closeWithGrace({ delay: 30_000, logger: false }, async ({ signal, err }) => {
    if (err) log.fatal({ event: 'crash', err }, 'Unexpected error')
    stopping.abort()
    const worker = await starting.catch(() => undefined)
    await worker?.stop()
    eventLoop.stop()
    log.info({ event: 'stop', signal, eventLoopDelay: eventLoop.summary() }, 'Stopped')
    await endLog(log)
  })
  await starting.catch(error => {
    // Told to end while it was starting: that is no failure.
    if (!stopping.signal.aborted) throw error
  })
}

try {
  await main()
} catch (error) {
  console.error(error instanceof ConfigError ? error.message : `worker: ${(error as Error).message}`)
  process.exit(1)
}

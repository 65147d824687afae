import closeWithGrace from 'close-with-grace'
import { ConfigError, createLogger, endLog, loadConfig, watchEventLoop } from '@streamsight/service'
import { buildApp } from './app.ts'
import { configSchema } from './config.ts'

async function main(): Promise<void> {
  const config = loadConfig(configSchema, process.env)
  const log = createLogger({ name: 'gateway', level: config.LOG_LEVEL, pretty: process.stdout.isTTY })
  const eventLoop = watchEventLoop()
  log.info({ event: 'start', port: config.PORT, models: config.MODELS }, 'Starting')

  const app = await buildApp({ config, log })
  // The last open request is answered at its deadline.
  const delay = config.SHUTDOWN_DELAY_MS + config.REQUEST_TIMEOUT_MS + 5_000
  closeWithGrace({ delay, logger: false }, async ({ signal, err }) => {
    if (err) log.fatal({ event: 'crash', err }, 'Unexpected error')
    log.info({ event: 'drain', signal }, 'Answering open requests')
    // An orchestrator sends this signal, and a balancer may stand before us. A person at a terminal need not wait for
    // one.
    if (signal === 'SIGTERM') await app.leave()
    await app.close()
    eventLoop.stop()
    log.info({ event: 'stop', signal, eventLoopDelay: eventLoop.summary() }, 'Stopped')
    await endLog(log)
  })
  const address = await app.listen({ host: config.HOST, port: config.PORT })
  log.info({ event: 'ready', address }, `Listening on ${address}`)
}

try {
  await main()
} catch (error) {
  const busy = (error as NodeJS.ErrnoException).code === 'EADDRINUSE'
  const reason = busy
    ? `port ${process.env['PORT'] ?? 5000} is in use: stop what listens there, or set PORT`
    : (error as Error).message
  console.error(error instanceof ConfigError ? error.message : `gateway: ${reason}`)
  process.exit(1)
}

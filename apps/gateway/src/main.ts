import closeWithGrace from 'close-with-grace'
import { ConfigError, createLogger, loadConfig, watchEventLoop } from '@streamsight/service'
import { buildApp } from './app.ts'
import { configSchema } from './config.ts'

async function main(): Promise<void> {
  const config = loadConfig(configSchema, process.env)
  const log = createLogger({ name: 'gateway', level: config.LOG_LEVEL, pretty: process.stdout.isTTY })
  const eventLoop = watchEventLoop()
  log.info({ event: 'start', port: config.PORT, models: config.MODELS }, 'Starting')

  const app = await buildApp({ config, log })
  // Open requests are answered before the process ends, the last of them at its deadline.
  closeWithGrace({ delay: config.REQUEST_TIMEOUT_MS + 5_000, logger: false }, async ({ signal, err }) => {
    if (err) log.fatal({ event: 'crash', err }, 'Unexpected error')
    log.info({ event: 'drain', signal }, 'Answering open requests')
    await app.close()
    eventLoop.stop()
    log.info({ event: 'stop', signal, eventLoopDelay: eventLoop.summary() }, 'Stopped')
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

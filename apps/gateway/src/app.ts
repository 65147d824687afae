import Fastify from 'fastify'
import type { Logger } from '@streamsight/service'
import type { Config } from './config.ts'
import { createGateway } from './gateway.ts'
import { adminRoutes } from './http/admin.ts'
import { cors } from './http/cors.ts'
import { apiDocs } from './http/docs.ts'
import { draining } from './http/draining.ts'
import { errorAnswers } from './http/error-answers.ts'
import { healthRoutes } from './http/health.ts'
import { keysAndLimits } from './http/keys-and-limits.ts'
import { metricsRoute } from './http/metrics.ts'
import { modelRoutes } from './http/models.ts'
import { predictRoute } from './http/predict.ts'
import { serverOptions } from './http/server.ts'
import { uploads } from './http/uploads.ts'
import { requestLog } from './request-log.ts'
import { shutdownHooks } from './shutdown.ts'

export type App = Awaited<ReturnType<typeof buildApp>>

/** The gateway, ready to listen. Connects to Redis on its own and works as soon as it is there. */
export async function buildApp({ config, log }: { config: Config; log: Logger }) {
  const gateway = createGateway({ config, log })
  const app = Fastify(serverOptions(gateway))
  app.server.on('connection', gateway.exchanges.connect)

  await app.register(requestLog, gateway)
  if (config.CORS_ORIGINS !== '') await app.register(cors, gateway)
  await app.register(errorAnswers)
  await app.register(draining, gateway)
  await app.register(apiDocs)
  await app.register(uploads, gateway)
  await app.register(keysAndLimits, gateway)

  await app.register(predictRoute, gateway)
  await app.register(modelRoutes, gateway)
  await app.register(healthRoutes, gateway)
  await app.register(metricsRoute, gateway)
  if (config.ADMIN_TOKEN !== '') await app.register(adminRoutes, { ...gateway, prefix: '/admin' })

  await app.register(shutdownHooks, gateway)
  app.addHook('onClose', gateway.stop)
  gateway.start()
  return app
}

import { listOf, shown, type Logger } from '@streamsight/service'
import type { Config } from './config.ts'
import { ApiError } from './errors.ts'
import { createExchanges } from './http/exchanges.ts'
import { createMetrics } from './metrics.ts'
import { createAdmission } from './requests/admission.ts'
import { createBroker } from './requests/broker.ts'
import { createFleet, type Fleet, type Fleets } from './requests/fleet.ts'
import { createOutages } from './requests/outages.ts'
import { createOverload } from './requests/overload.ts'
import { createShutdown } from './shutdown.ts'

/** A model that can be asked, and who serves it. */
export interface Target {
  model: string
  fleet: Fleet
}

/** What the plugins of one gateway share: settings, who is waiting for what, and how it is going. */
export function createGateway({ config, log }: { config: Config; log: Logger }) {
  const models = listOf(config.MODELS)
  const [defaultModel = ''] = models
  const broker = createBroker({ url: config.REDIS_URL, prefix: config.REDIS_PREFIX, models, log })
  const outages = createOutages(log)
  const fleets: Fleets = new Map(
    models.map(model => [
      model,
      createFleet({
        readWorkers: () => broker.readWorkers(model),
        readDepth: () => broker.depth(model),
        ownDepth: () => broker.queued(model),
        looked: error => reportLook(model, error),
        requestTimeoutMs: config.REQUEST_TIMEOUT_MS,
        maxQueueDepth: config.MAX_QUEUE_DEPTH
      })
    ])
  )
  const admission = createAdmission({
    maxRequests: config.MAX_IN_FLIGHT,
    maxUploads: config.MAX_UPLOADS,
    maxUploadsPerClient: config.MAX_UPLOADS_PER_CLIENT,
    maxBytes: config.MAX_IN_FLIGHT_BYTES,
    minBytesPerS: config.MIN_UPLOAD_BYTES_PER_S,
    graceMs: config.MIN_UPLOAD_GRACE_MS
  })
  const exchanges = createExchanges({ maxConnections: config.MAX_CONNECTIONS })
  const metrics = createMetrics({ broker, fleets, admission, exchanges })
  const shutdown = createShutdown({ delayMs: config.SHUTDOWN_DELAY_MS })
  const overload = createOverload({ broker, requestTimeoutMs: config.REQUEST_TIMEOUT_MS })

  return {
    config,
    log,
    broker,
    fleets,
    admission,
    exchanges,
    metrics,
    overload,
    shutdown,
    target,

    start(): void {
      broker.start()
      admission.start()
      for (const fleet of fleets.values()) fleet.start()
    },

    async stop(): Promise<void> {
      admission.stop()
      for (const fleet of fleets.values()) fleet.stop()
      await broker.close()
    }
  }

  function reportLook(model: string, error: unknown): void {
    const step = `look at the workers and the queue of ${model}`
    if (error === undefined) outages.passed(step)
    else outages.delayed(step, error)
  }

  /** The model of that name, or the default one. Throws MODEL_NOT_FOUND. */
  function target(name: string = defaultModel): Target {
    const fleet = fleets.get(name)
    if (fleet === undefined)
      throw new ApiError('MODEL_NOT_FOUND', {
        message: `Model ${shown(name)} is not served here; served are: ${[...fleets.keys()].join(', ')}`
      })
    return { model: name, fleet }
  }
}

export type Gateway = ReturnType<typeof createGateway>

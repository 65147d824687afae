import { availableParallelism, hostname } from 'node:os'
import { openModel } from '@streamsight/models'
import {
  createClock, createConnection, createConsumer, createRegistration, keysOf, limits, type Consumer, type WorkerState
} from '@streamsight/protocol'
import type { Logger } from '@streamsight/service'
import type { Config } from './config.ts'
import { startInference, type Inference } from './engines/inference.ts'
import { createDecoder } from './pixels/decode.ts'
import type { Decoder } from './pixels/decoder.ts'
import { createPipeline } from './pipeline.ts'
import { createRate } from './rate.ts'
import { every, serve } from './serve.ts'
import { createImageWriter } from './tensor.ts'
import { warmUp } from './warm-up.ts'

export interface WorkerOptions {
  config: Config
  log: Logger
  /** Called when the worker can't go on and must be started anew. */
  onWedged: (what: string) => void
  pid: number
  /** Put around the real parts by the fault suite, which breaks them. */
  wrap?: {
    decoder?: (decoder: Decoder) => Decoder
    inference?: (inference: Inference) => Inference
    consumer?: (consumer: Consumer) => Consumer
  }
}

/** Loads and warms the model, and only then joins the group. Rejects if the model or Redis can't be had. */
export async function startWorker ({ config, log, pid, onWedged, wrap = {} }: WorkerOptions) {
  const name = `${hostname()}-${config.WORKER_SLOT}`
  const keys = keysOf(config.REDIS_PREFIX, config.MODEL)
  const model = await openModel(config.MODELS_DIR, config.MODEL)
  const { input, output } = model.manifest
  const threads = config.ENGINE_THREADS || availableParallelism()
  const engine = await startInference({ model, choice: config.ENGINE, threads })
  const inference = wrap.inference?.(engine) ?? engine
  log.info({ event: 'engine', engine: inference.name, model: config.MODEL, threads, rejected: inference.rejected }, `Model ${config.MODEL} runs on ${inference.name}`)
  const pixels = await createDecoder({ input, maxPixels: config.MAX_IMAGE_PIXELS })
  const decoder = wrap.decoder?.(pixels) ?? pixels

  const commands = createConnection({ url: config.REDIS_URL, name: `${name}:commands`, log })
  const blocking = createConnection({ url: config.REDIS_URL, name: `${name}:blocking`, log })
  await Promise.all([commands.connect(), blocking.connect()])
  const clock = createClock(commands)
  await clock.sync()
  const registration = createRegistration(commands, keys, clock)
  const group = createConsumer({ commands, blocking }, { keys, name, clock })
  const consumer = wrap.consumer?.(group) ?? group

  const identity = {
    name,
    pid,
    model: { name: model.manifest.name, version: model.manifest.version, classes: output.classes, width: input.width, height: input.height },
    engine: inference.name
  }
  await registration.report({ ...identity, state: 'warming', latency: { aMs: 0, bMs: 0 }, maxBatch: 0, ratePerSecond: 0, held: 0, finished: 0 })
  const warm = await warmUp(inference, { values: input.width * input.height * 3, maxSize: config.BATCH_MAX_SIZE })
  log.info({ event: 'warm', ...warm }, `A batch of n takes ${warm.latency.aMs.toFixed(1)} + ${warm.latency.bMs.toFixed(1)}·n ms; at most ${warm.maxBatch} run together`)

  const rate = createRate(warm)
  const pipeline = createPipeline({ name, model, decoder, inference, writeImage: createImageWriter(input, inference.layout), warm, maxDelayMs: config.BATCH_MAX_DELAY_MS, rate, consumer, clock, log, onWedged })
  const serving = serve({ name, consumer, pipeline, rate, clock, maxDeliveries: config.MAX_DELIVERIES, log })
  blocking.on('ready', serving.recover)
  let state: WorkerState = 'ready'

  const stopTasks = [every(limits.heartbeatMs, report), every(limits.clockSyncMs, clock.sync), every(60_000, tidy)]
  await report()
  log.info({ event: 'ready', worker: name, model: config.MODEL, engine: inference.name, decoder: decoder.name, maxBatch: warm.maxBatch }, `Worker ${name} is ready`)

  return {
    /** Takes nothing new, finishes what it has begun, and signs out. */
    async stop (): Promise<void> {
      state = 'draining'
      await report().catch(() => {})
      await serving.drain()
      for (const stop of stopTasks) stop()
      await registration.remove(name).catch(() => {})
      await consumer.leave().catch(() => {})
      commands.destroy()
      blocking.destroy()
      await Promise.all([inference.close(), decoder.close()])
    }
  }

  async function report (): Promise<void> {
    const { latency, maxBatch } = warm
    await registration.report({ ...identity, state, latency, maxBatch, ratePerSecond: rate.update(), held: pipeline.held, finished: pipeline.finished })
  }

  /** The janitor: entries that outlived every deadline, and workers that never came back. */
  async function tidy (): Promise<void> {
    const trimmed = await consumer.trim(limits.strandedMs)
    if (trimmed > 0) log.warn({ event: 'trimmed', entries: trimmed }, 'Removed jobs whose deadline is long gone')
    await registration.prune()
  }
}

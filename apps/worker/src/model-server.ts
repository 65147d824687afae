import {
  createConsumer,
  createRegistration,
  digestOf,
  keepDescribed,
  keysOf,
  limits,
  type Clock,
  type Connection,
  type Consumer,
  type WorkerState
} from '@streamsight/protocol'
import type { Logger } from '@streamsight/service'
import type { Config } from './config.ts'
import type { LoadedModel } from './load.ts'
import { describeModel, warnOfOtherVersions } from './description.ts'
import { createPipeline } from './pipeline.ts'
import { createRate } from './batching/rate.ts'
import { every, serve } from './serve.ts'
import { createImageWriter } from './tensor.ts'
import type { Exclusive } from './exclusive.ts'
import { warmUp } from './batching/warm-up.ts'
import type { OnWedged } from './watchdog.ts'

export interface ModelServerOptions {
  /** The worker's name, the same for all its models. */
  name: string
  pid: number
  config: Config
  loaded: LoadedModel
  commands: Connection
  /** For reads of this lane alone: they block. */
  blocking: Connection
  clock: Clock
  turns: Exclusive
  log: Logger
  onWedged: OnWedged
  wrapConsumer?: ((consumer: Consumer) => Consumer) | undefined
}

/** What a worker does for one of its models. Warms it up; the returned `start` joins the group. */
export async function warmModelServer({
  name,
  pid,
  config,
  loaded,
  commands,
  blocking,
  clock,
  turns,
  log,
  onWedged,
  wrapConsumer
}: ModelServerOptions) {
  const { model, inference, decoder } = loaded
  const {
    manifest: { name: modelName, version, input, output }
  } = model
  const keys = keysOf(config.REDIS_PREFIX, modelName)
  const registration = createRegistration(commands, keys, clock)
  const group = createConsumer({ commands, blocking }, { keys, name, clock })
  const consumer = wrapConsumer?.(group) ?? group
  const description = describeModel(model)
  const { width, height } = input
  const identity = {
    name,
    pid,
    model: { name: modelName, version, classes: output.classes, width, height, about: digestOf(description) },
    engine: inference.name,
    precision: inference.precision,
    precisionReason: inference.precisionReason
  }

  await registration.report({
    ...identity,
    state: 'warming',
    latency: { aMs: 0, bMs: 0 },
    maxBatch: 0,
    ratePerSecond: 0,
    held: 0,
    finished: 0
  })
  await warnOfOtherVersions(commands, keys, { model: modelName, version, log })
  const warm = await warmUp(inference, { values: width * height * 3, maxSize: config.BATCH_MAX_SIZE })
  log.info(
    { event: 'warm', model: modelName, ...warm },
    `A batch of n takes ${warm.latency.aMs.toFixed(1)} + ${warm.latency.bMs.toFixed(1)}·n ms; at most ${warm.maxBatch} run together`
  )
  return { start }

  /** Takes jobs from now on. */
  async function start() {
    const rate = createRate(warm)
    const pipeline = createPipeline({
      name,
      model,
      decoder,
      inference,
      writeImage: createImageWriter(input, inference.layout),
      warm,
      maxDelayMs: config.BATCH_MAX_DELAY_MS,
      rate,
      consumer,
      clock,
      log,
      onWedged
    })
    const serving = serve({ name, consumer, pipeline, rate, clock, turns, maxDeliveries: config.MAX_DELIVERIES, log })
    let state: WorkerState = 'ready'
    let described = true
    blocking.on('ready', serving.recover)
    const stopTasks = [every(limits.heartbeatMs, report), every(limits.heartbeatMs, describe), every(60_000, tidy)]
    await report()
    await describe()
    log.info(
      {
        event: 'ready',
        worker: name,
        model: modelName,
        engine: inference.name,
        decoder: decoder.name,
        maxBatch: warm.maxBatch
      },
      `Worker ${name} is ready for ${modelName}`
    )

    return {
      /** Takes nothing new, finishes what it has begun, and signs out. */
      async stop(): Promise<void> {
        state = 'draining'
        await report().catch(() => {})
        await serving.drain()
        for (const stop of stopTasks) stop()
        await registration.remove(name).catch(() => {})
        await consumer.leave().catch(() => {})
      }
    }

    async function report(): Promise<void> {
      const { latency, maxBatch } = warm
      await registration.report({
        ...identity,
        state,
        latency,
        maxBatch,
        ratePerSecond: rate.update(),
        held: pipeline.held,
        finished: pipeline.finished
      })
    }

    /** Again after Redis was wiped, too. A worker serves without it, so a failure is one log line an outage. */
    async function describe(): Promise<void> {
      try {
        await keepDescribed(commands, keys, description)
        described = true
      } catch (error) {
        if (described)
          log.warn(
            { event: 'describe-failed', model: modelName, err: error },
            `GET /models/${modelName} lacks labels: Redis did not take the description`
          )
        described = false
      }
    }

    /** The janitor: entries that outlived every deadline, and workers that never came back. */
    async function tidy(): Promise<void> {
      const trimmed = await consumer.trim(limits.strandedMs)
      if (trimmed > 0)
        log.warn({ event: 'trimmed', model: modelName, entries: trimmed }, 'Removed jobs whose deadline is long gone')
      await registration.prune()
    }
  }
}

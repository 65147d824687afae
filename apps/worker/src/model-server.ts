import {
  createConsumer,
  digestOf,
  keepDescribed,
  keysOf,
  limits,
  type Clock,
  type Connection,
  type Consumer,
  type Registration,
  type WorkerReport,
  type WorkerState
} from '@streamsight/protocol'
import type { Logger } from '@streamsight/service'
import type { Config } from './config.ts'
import type { LoadedModel } from './load.ts'
import { createOutcomes } from './outcomes.ts'
import { describeModel, warnOfOtherVersions } from './description.ts'
import { createPipeline } from './pipeline.ts'
import { createRate } from './batching/rate.ts'
import { every } from './every.ts'
import { serve } from './serve.ts'
import { createImageWriter } from './tensor.ts'
import { unlessAborted } from './abort.ts'
import type { ExclusiveLock } from './exclusive.ts'
import { warmUp } from './batching/warm-up.ts'
import type { OnWedged } from './watchdog.ts'

export interface ModelServerOptions {
  /** What the worker said of this model when it claimed its name. */
  firstReport: WorkerReport
  registration: Registration
  /** Aborted when the process is told to end. */
  stopping: AbortSignal
  config: Config
  loaded: LoadedModel
  commands: Connection
  /** For reads of this model's jobs alone: they block. */
  blocking: Connection
  clock: Clock
  lock: ExclusiveLock
  log: Logger
  onWedged: OnWedged
  wrapConsumer?: ((consumer: Consumer) => Consumer) | undefined
}

/** What a worker says of a model before it has measured anything. */
export function firstReportOf(
  { model, inference }: LoadedModel,
  identity: Pick<WorkerReport, 'name' | 'pid' | 'pidSpace'>
): WorkerReport {
  const { name, version, input, output } = model.manifest
  return {
    ...identity,
    state: 'warming',
    model: {
      name,
      version,
      classes: output.classes,
      width: input.width,
      height: input.height,
      about: digestOf(describeModel(model))
    },
    engine: inference.name,
    precision: inference.precision,
    precisionReason: inference.precisionReason,
    latency: { aMs: 0, bMs: 0 },
    maxBatch: 0,
    ratePerSecond: 0,
    held: 0,
    finished: 0
  }
}

/** What a worker does for one of its models. Warms it up; the returned `start` joins the group. */
export async function warmModelServer({
  firstReport,
  registration,
  stopping,
  config,
  loaded,
  commands,
  blocking,
  clock,
  lock,
  log,
  onWedged,
  wrapConsumer
}: ModelServerOptions) {
  const { model, inference, decoder } = loaded
  const { input } = model.manifest
  const { name } = firstReport
  const { name: modelName, version } = firstReport.model
  const keys = keysOf(config.REDIS_PREFIX, modelName)
  const group = createConsumer({ commands, blocking }, { keys, name, clock })
  const consumer = wrapConsumer?.(group) ?? group

  const description = describeModel(model)
  await warnOfOtherVersions(commands, keys, { model: modelName, version, log })

  // Others must see that this name is taken: warming up takes seconds.
  const alive = 'say that this worker lives'
  const stopReporting = every(limits.heartbeatMs, { what: alive, task: () => registration.report(firstReport), log })
  const warm = await unlessAborted(stopping, () =>
    warmUp(inference, { values: input.width * input.height * 3, maxSize: config.BATCH_MAX_SIZE })
  ).finally(stopReporting)
  log.info(
    { event: 'warm', model: modelName, ...warm },
    `A batch of n takes ${warm.latency.aMs.toFixed(1)} + ${warm.latency.bMs.toFixed(1)}·n ms; at most ${warm.maxBatch} run together`
  )
  return { start }

  /** Takes jobs from now on. */
  async function start() {
    const rate = createRate(warm)
    const outcomes = createOutcomes({
      worker: name,
      model: { name: modelName, version },
      engine: inference.name,
      consumer,
      clock,
      log
    })
    const pipeline = createPipeline({
      model,
      decoder,
      inference,
      writeImage: createImageWriter(input, inference.layout),
      warm,
      maxDelayMs: config.BATCH_MAX_DELAY_MS,
      rate,
      outcomes,
      clock,
      log,
      onWedged
    })
    const serving = serve({
      consumer,
      pipeline,
      outcomes,
      rate,
      clock,
      lock,
      maxDeliveries: config.MAX_DELIVERIES,
      log
    })
    let state: WorkerState = 'ready'
    blocking.onBack(serving.markUnsure)
    let described = true
    const stopTasks = [
      every(limits.heartbeatMs, { what: alive, task: report, log }),
      every(limits.heartbeatMs, { what: 'describe the model', task: describe, log }),
      every(60_000, { what: 'tidy up the stream', task: tidy, log })
    ]
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
        await report().catch(unheard)
        await serving.drain()
        for (const stop of stopTasks) stop()
        await registration.remove(name).catch(unheard)
        await consumer.leave().catch(unheard)
      }
    }

    function unheard(error: unknown): void {
      log.warn(
        { event: 'sign-out-failed', err: error },
        'Redis was not told of the end; others learn it by the silence'
      )
    }

    async function report(): Promise<void> {
      const { latency, maxBatch } = warm
      await registration.report({
        ...firstReport,
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

import type { Model } from '@streamsight/models'
import { isIntact, queuedMs, type Clock, type Delivery } from '@streamsight/protocol'
import type { Logger } from '@streamsight/service'
import { remainingMs } from './age.ts'
import { createBatchRun } from './batching/batch-run.ts'
import { createCondition } from './batching/condition.ts'
import { createDecodeEstimate } from './batching/decode-estimate.ts'
import { createGather, type Batch } from './batching/gather.ts'
import type { Rate } from './batching/rate.ts'
import type { WarmUp } from './batching/warm-up.ts'
import type { Inference } from './engines/inference.ts'
import type { Answer, Outcomes, Reason } from './outcomes.ts'
import { DecodeError, type Decoder } from './pixels/decoder.ts'
import { rank } from './rank.ts'
import { faultOf } from './scores.ts'
import type { WriteImage } from './tensor.ts'
import type { OnWedged } from './watchdog.ts'

export interface PipelineOptions {
  model: Model
  decoder: Decoder
  inference: Inference
  writeImage: WriteImage
  warm: WarmUp
  /** The longest that a batch waits for images that are being decoded. */
  maxDelayMs: number
  rate: Rate
  outcomes: Outcomes
  clock: Clock
  log: Logger
  onWedged: OnWedged
}

interface Decoded {
  delivery: Delivery
  rgb: Uint8Array
  decodeMs: number
  decodedAtMs: number
}

const modelFailed = { code: 'INFERENCE_FAILED', message: 'The model failed on this image' } as const
/** Its fingerprint is not that of its bytes: they changed on the way, and an answer would be about another picture. */
const damaged = {
  code: 'INFERENCE_FAILED',
  message: 'The image was damaged on its way to the worker; send it again'
} as const
const decoderFailed = { code: 'INFERENCE_FAILED', message: 'The image could not be processed' } as const
const tooLate = {
  code: 'DEADLINE_EXCEEDED',
  message: 'The deadline passed before a worker could take the image'
} as const

/**
 * From a delivery to its outcome: decode, assemble a batch, infer, finish. While one batch is on the engine the next
 * is decoded; it takes no more than that ahead, because what waits should wait in the stream, where another worker
 * can take it. The engine never waits for images that nobody knows of: the next batch is what gathered meanwhile, and
 * what is about to be decoded where the curve of its latency says that waiting pays.
 */
export function createPipeline(options: PipelineOptions) {
  const { model, decoder, warm, rate, outcomes, clock, log } = options
  const { input, output } = model.manifest
  const { activation } = output
  const imageValues = input.width * input.height * 3
  const held = new Map<string, Delivery>()
  const state = createCondition()
  const decoding = createDecoding(decoder)
  const gather = createGather<Decoded>({
    ...options,
    imageValues,
    allocate: options.inference.allocate,
    decodingMs: decoding.remainingMs,
    condition: state,
    remainingMs: ({ delivery }) => remainingMs(clock, delivery)
  })
  const runBatch = createBatchRun<Decoded>({
    ...options,
    imageValues,
    classes: model.labels.length,
    assemble: gather.assemble,
    settle
  })
  /** Jobs taken that are not on the engine yet. */
  let ahead = 0
  let isRunning = false
  let finished = 0

  return {
    /** Entries of the jobs in hand. */
    entries: (): string[] => [...held.keys()],
    holds: (entry: string): boolean => held.has(entry),
    get held(): number {
      return held.size
    },
    get finished(): number {
      return finished
    },

    /** Jobs that may be taken now. */
    room: (): number => warm.maxBatch - ahead,
    untilRoom: () => state.until(() => ahead < warm.maxBatch),
    untilIdle: () => state.until(() => held.size === 0),

    /** Starts on a job; its outcome is stored whatever happens. */
    take(delivery: Delivery): void {
      held.set(delivery.entry, delivery)
      ahead++
      void prepare(delivery)
    },

    /** Gives up the jobs that are not on the engine yet, for another worker to do. */
    takeUnstarted(): Delivery[] {
      const { batch, expired } = gather.take()
      const unstarted = [...batch.jobs, ...expired].map(({ delivery }) => delivery)
      for (const delivery of unstarted) release(delivery)
      leave(unstarted.length)
      return unstarted
    }
  }

  async function prepare(delivery: Delivery): Promise<void> {
    if (remainingMs(clock, delivery) < 0) return refuse(delivery, tooLate)
    if (!isIntact(delivery.job)) {
      log.error({ event: 'image-damaged', jobId: delivery.job.id }, 'The bytes are not those that the gateway was sent')
      return refuse(delivery, damaged)
    }
    try {
      gather.add(await decoding.decode(delivery))
      state.changed()
      void pump()
    } catch (error) {
      if (!(error instanceof DecodeError))
        log.error({ event: 'decode-failed', jobId: delivery.job.id, err: error }, 'Decoder failed')
      refuse(delivery, error instanceof DecodeError ? error : decoderFailed)
    }
  }

  /** Keeps the engine busy as long as there is anything for it. */
  async function pump(): Promise<void> {
    if (isRunning) return
    isRunning = true
    while (gather.size > 0) {
      await gather.untilDue()
      const { batch, expired } = gather.take()
      for (const { delivery } of expired) refuse(delivery, tooLate)
      leave(batch.jobs.length)
      await runBatch(batch)
    }
    isRunning = false
  }

  /** A job that never reached the engine. */
  function refuse(delivery: Delivery, reason: Reason): void {
    leave(1)
    void conclude(delivery, outcomes.fail(delivery, reason))
  }

  /** Outcomes are stored while the next batch runs: the engine does not wait for Redis. */
  function settle(job: Decoded, batch: Batch<Decoded>, scores: Float32Array | undefined): void {
    const { delivery } = job
    const fault = scores && faultOf(scores, activation)
    if (fault !== undefined) log.error({ event: 'scores-faulty', jobId: delivery.job.id }, `The model ${fault}`)
    const stored =
      scores === undefined || fault !== undefined
        ? outcomes.fail(delivery, modelFailed)
        : outcomes.succeed(
            delivery,
            answerOf(job, batch, rank(scores, model.labels, { activation, topK: delivery.job.options.topK }))
          )
    void conclude(delivery, stored)
  }

  async function conclude(delivery: Delivery, stored: Promise<void>): Promise<void> {
    await stored
    finished++
    rate.finished()
    release(delivery)
  }

  function leave(jobs: number): void {
    ahead -= jobs
    state.changed()
  }

  function release({ entry }: Delivery): void {
    held.delete(entry)
    state.changed()
  }
}

export type Pipeline = ReturnType<typeof createPipeline>

/** Decodes under a watchdog, and estimates when the images in hand will be ready. */
function createDecoding(decoder: Decoder) {
  const estimate = createDecodeEstimate()

  return {
    remainingMs: estimate.remainingMs,

    async decode(delivery: Delivery): Promise<Decoded> {
      const { entry, job } = delivery
      estimate.begin(entry)
      let decodeMs = 0
      const rgb = await decoder.decode(job.image, job.format).finally(() => {
        decodeMs = estimate.end(entry)
      })
      return { delivery, rgb, decodeMs, decodedAtMs: performance.now() }
    }
  }
}

function answerOf(
  { delivery, decodeMs, decodedAtMs }: Decoded,
  { jobs, startedAtMs }: Batch<Decoded>,
  predictions: Answer['predictions']
): Answer {
  return {
    predictions,
    batchSize: jobs.length,
    timings: {
      queueMs: round(queuedMs(delivery) + startedAtMs - decodedAtMs),
      decodeMs: round(decodeMs),
      inferMs: round(performance.now() - startedAtMs)
    }
  }
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10
}

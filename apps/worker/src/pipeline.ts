import { setTimeout as sleep } from 'node:timers/promises'
import type { Model } from '@streamsight/models'
import {
  limits,
  protocolVersion,
  queuedMs,
  type Clock,
  type Consumer,
  type Delivery,
  type FailureCode,
  type Outcome
} from '@streamsight/protocol'
import type { Logger } from '@streamsight/service'
import { batchMs, runSize, waitingPays } from './batching/latency.ts'
import { createCondition } from './batching/condition.ts'
import { createDecodeEstimate } from './batching/decode-estimate.ts'
import type { Inference } from './engines/inference.ts'
import { createBatchAssembly } from './batching/batch-assembly.ts'
import { DecodeError, type Decoder } from './pixels/decoder.ts'
import { rank } from './rank.ts'
import type { Rate } from './batching/rate.ts'
import { faultOf } from './scores.ts'
import type { WriteImage } from './tensor.ts'
import type { WarmUp } from './batching/warm-up.ts'
import { withWatchdog, type OnWedged } from './watchdog.ts'

export interface PipelineOptions {
  name: string
  model: Model
  decoder: Decoder
  inference: Inference
  writeImage: WriteImage
  warm: WarmUp
  /** The longest that a batch waits for images that are being decoded. */
  maxDelayMs: number
  rate: Rate
  consumer: Consumer
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
interface Batch {
  jobs: Decoded[]
  input: Float32Array
  startedAtMs: number
}

/** An engine's batch may take ten times what warm-up measured, and never less than this, before it counts as hung. */
const patienceMs = 10_000

const modelFailed = { code: 'INFERENCE_FAILED', message: 'The model failed on this image' } as const

/**
 * From a delivery to its outcome: decode, batch, infer, finish. While one batch is on the engine the next is decoded; it
 * takes no more than that ahead, because what waits should wait in the stream, where another worker can take it. The engine
 * never waits for images that nobody knows of: the next batch is what gathered meanwhile, and what is about to be decoded where
 * the curve of its latency says that waiting pays.
 */
export function createPipeline(options: PipelineOptions) {
  const { name, model, decoder, inference, writeImage, warm, maxDelayMs, rate, consumer, clock, log, onWedged } =
    options
  const { manifest, labels } = model
  const imageValues = manifest.input.width * manifest.input.height * 3
  const held = new Map<string, Delivery>()
  const decoding = createDecodeEstimate()
  const forming = startForming()
  const state = createCondition()
  let ahead = 0
  let busy = false
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

    fail,

    /** Gives up the jobs that are not on the engine yet, for somebody else to do. */
    takeUnstarted(): Delivery[] {
      const unstarted = forming.take().jobs.map(({ delivery }) => delivery)
      for (const delivery of unstarted) release(delivery)
      ahead -= unstarted.length
      return unstarted
    }
  }

  async function prepare(delivery: Delivery): Promise<void> {
    if (isExpired(delivery)) return await drop(delivery)
    try {
      const { rgb, decodeMs } = await decode(delivery)
      forming.add({ delivery, rgb, decodeMs, decodedAtMs: performance.now() })
      state.changed()
      void pump()
    } catch (error) {
      ahead--
      state.changed()
      if (!(error instanceof DecodeError))
        log.error({ event: 'decode-failed', requestId: delivery.job.id, err: error }, 'Decoder failed')
      await fail(
        delivery,
        error instanceof DecodeError ? error : { code: 'INFERENCE_FAILED', message: 'The image could not be processed' }
      )
    }
  }

  async function decode({ entry, job }: Delivery): Promise<Pick<Decoded, 'rgb' | 'decodeMs'>> {
    decoding.begin(entry)
    let decodeMs = 0
    const rgb = await decoder.decode(job.image, job.format).finally(() => {
      decodeMs = decoding.end(entry)
    })
    return { rgb, decodeMs }
  }

  /** Nobody waits for it any more. */
  async function drop(delivery: Delivery): Promise<void> {
    ahead--
    state.changed()
    await fail(delivery, {
      code: 'DEADLINE_EXCEEDED',
      message: 'The deadline passed before a worker could take the image'
    })
  }

  async function pump(): Promise<void> {
    if (busy) return
    busy = true
    while (forming.jobs.length > 0) {
      await gather()
      await runBatch(nextBatch())
    }
    busy = false
  }

  /** Waits while it pays, and no job comes too late for it. */
  async function gather(): Promise<void> {
    const spareMs = forming.jobs.map(
      ({ delivery }) => delivery.job.ttlMs - ageMs(delivery) - 2 * batchMs(warm.latency, warm.maxBatch)
    )
    const endMs = performance.now() + Math.min(maxDelayMs, ...spareMs)
    const pays = (ready: number) =>
      ready > 0 && ready < warm.maxBatch && waitingPays(warm.latency, ready, decoding.remainingMs())
    while (performance.now() < endMs && pays(forming.jobs.length)) await state.next(endMs - performance.now())
  }

  function nextBatch(): Batch {
    const { jobs, input } = forming.take()
    const live = jobs.filter(({ delivery }) => !isExpired(delivery))
    for (const job of jobs) if (!live.includes(job)) void drop(job.delivery)
    ahead -= live.length
    state.changed()
    return live.length === jobs.length ? { jobs, input, startedAtMs: performance.now() } : formAgain(live)
  }

  function formAgain(jobs: Decoded[]): Batch {
    const again = startForming()
    for (const job of jobs) again.add(job)
    return { ...again.take(), startedAtMs: performance.now() }
  }

  function startForming() {
    return createBatchAssembly<Decoded>({
      capacity: Math.max(warm.maxBatch, ...warm.sizes),
      imageValues,
      allocate: inference.allocate,
      writeImage
    })
  }

  /** Outcomes are stored while the next batch runs: the engine does not wait for Redis. */
  async function runBatch(batch: Batch): Promise<void> {
    const { jobs } = batch
    if (jobs.length === 0) return
    try {
      const scores = await infer(batch)
      for (const [index, job] of jobs.entries())
        void settle(job, batch, scores.subarray(index * labels.length, (index + 1) * labels.length))
    } catch (error) {
      log.error({ event: 'batch-failed', batchSize: jobs.length, err: error }, 'The engine failed on a batch')
      const [only, ...more] = jobs
      if (only !== undefined && more.length === 0) return void fail(only.delivery, modelFailed)
      for (const job of jobs) await runBatch(formAgain([job]))
    }
  }

  /** Scores of the jobs, and of whatever the batch was padded with. */
  async function infer({ jobs, input }: Batch): Promise<Float32Array> {
    const size = runSize(warm.sizes, jobs.length)
    const limitMs = Math.max(patienceMs, 10 * batchMs(warm.latency, size))
    const startedAtMs = performance.now()
    const scores = await withWatchdog(
      { what: `a batch of ${size}`, ms: limitMs, onWedged },
      inference.infer(input.subarray(0, size * imageValues), size)
    )
    rate.ran(size, performance.now() - startedAtMs)
    if (scores.length !== size * labels.length)
      throw new Error(`the model gave ${scores.length} scores for ${size} images of ${labels.length} classes`)
    return scores
  }

  /** A fault of one image's scores is its own. */
  async function settle(job: Decoded, batch: Batch, scores: Float32Array): Promise<void> {
    const fault = faultOf(scores, manifest.output.activation)
    if (fault === undefined) return await succeed(job, batch, scores)
    log.error({ event: 'scores-faulty', requestId: job.delivery.job.id }, `The model ${fault}`)
    await fail(job.delivery, modelFailed)
  }

  async function succeed(
    { delivery, decodeMs, decodedAtMs }: Decoded,
    { jobs, startedAtMs }: Batch,
    scores: Float32Array
  ): Promise<void> {
    const { job, deliveries } = delivery
    const timings = {
      queueMs: round(queuedMs(delivery) + startedAtMs - decodedAtMs),
      decodeMs: round(decodeMs),
      inferMs: round(performance.now() - startedAtMs)
    }
    await finish(delivery, {
      v: protocolVersion,
      id: job.id,
      status: 'ok',
      predictions: rank(scores, labels, { activation: manifest.output.activation, topK: job.options.topK }),
      model: { name: manifest.name, version: manifest.version },
      engine: inference.name,
      worker: name,
      batchSize: jobs.length,
      deliveries,
      timings
    })
  }

  async function fail(delivery: Delivery, { code, message }: { code: FailureCode; message: string }): Promise<void> {
    await finish(delivery, {
      v: protocolVersion,
      id: delivery.job.id,
      status: 'error',
      code,
      message,
      worker: name,
      deliveries: delivery.deliveries
    })
  }

  /** Until Redis acknowledged it, or nobody can be waiting any more. */
  async function finish(delivery: Delivery, outcome: Outcome): Promise<void> {
    for (let waitMs = 50; ; waitMs = Math.min(2 * waitMs, 500)) {
      try {
        const first = await consumer.finish(delivery, outcome)
        logJob(delivery, outcome, first)
        break
      } catch (error) {
        if (ageMs(delivery) > delivery.job.ttlMs + limits.jobGraceMs) {
          log.warn(
            { event: 'outcome-dropped', requestId: delivery.job.id, err: error },
            'Redis did not take the outcome before its deadline'
          )
          break
        }
        await sleep(waitMs)
      }
    }
    finished++
    rate.finished()
    release(delivery)
  }

  function release(delivery: Delivery): void {
    held.delete(delivery.entry)
    state.changed()
  }

  function logJob({ job, deliveries }: Delivery, outcome: Outcome, first: boolean): void {
    const fields =
      outcome.status === 'ok'
        ? { outcome: 'ok', ...outcome.timings, batchSize: outcome.batchSize, engine: outcome.engine }
        : { outcome: outcome.code }
    log.info(
      {
        event: 'job',
        requestId: job.id,
        ...fields,
        model: manifest.name,
        deliveries,
        bytes: job.image.length,
        ...(first ? {} : { late: true })
      },
      'job'
    )
  }

  function ageMs({ entry }: Delivery): number {
    return clock.now() - Number(entry.split('-')[0])
  }

  function isExpired(delivery: Delivery): boolean {
    return ageMs(delivery) > delivery.job.ttlMs
  }
}

export type Pipeline = ReturnType<typeof createPipeline>

function round(ms: number): number {
  return Math.round(ms * 10) / 10
}

import { setTimeout as sleep } from 'node:timers/promises'
import type { Model } from '@streamsight/models'
import { limits, protocolVersion, queuedMs, type Clock, type Consumer, type Delivery, type FailureCode, type Outcome } from '@streamsight/protocol'
import type { Logger } from '@streamsight/service'
import { batchMs } from './batch.ts'
import { createCondition } from './condition.ts'
import type { Inference } from './engines/inference.ts'
import { DecodeError, decodeTimeoutMs, type Decoder } from './pixels/decoder.ts'
import { rank } from './rank.ts'
import type { Rate } from './rate.ts'
import type { WriteImage } from './tensor.ts'
import type { WarmUp } from './warm-up.ts'

export interface PipelineOptions {
  name: string
  model: Model
  decoder: Decoder
  inference: Inference
  writeImage: WriteImage
  warm: WarmUp
  rate: Rate
  consumer: Consumer
  clock: Clock
  log: Logger
  /** Called when a decode or a batch hangs: the process must end, for a hung one would renew its leases for ever. */
  onWedged: (what: string) => void
}

interface Decoded { delivery: Delivery, rgb: Uint8Array, decodeMs: number, decodedAtMs: number }
interface Batch { jobs: Decoded[], startedAtMs: number }

/** An engine's batch may take ten times what warm-up measured, and never less than this, before it counts as hung. */
const patienceMs = 10_000

/**
 * From a delivery to its outcome: decode, batch, infer, finish. While one batch is on the engine the next is decoded; it
 * takes no more than that ahead, because what waits should wait in the stream, where another worker can take it. The engine
 * never waits for a batch to fill: the next batch is what gathered meanwhile.
 */
export function createPipeline (options: PipelineOptions) {
  const { name, model, decoder, inference, writeImage, warm, rate, consumer, clock, log, onWedged } = options
  const { manifest, labels } = model
  const imageValues = manifest.input.width * manifest.input.height * 3
  const held = new Map<string, Delivery>()
  const decoded: Decoded[] = []
  const state = createCondition()
  let ahead = 0
  let busy = false
  let finished = 0

  return {
    /** Entries of the jobs in hand. */
    entries: (): string[] => [...held.keys()],
    holds: (entry: string): boolean => held.has(entry),
    get held (): number { return held.size },
    get finished (): number { return finished },

    /** Jobs that may be taken now. */
    room: (): number => warm.maxBatch - ahead,
    untilRoom: () => state.until(() => ahead < warm.maxBatch),
    untilIdle: () => state.until(() => held.size === 0),

    /** Starts on a job; its outcome is stored whatever happens. */
    take (delivery: Delivery): void {
      held.set(delivery.entry, delivery)
      ahead++
      void prepare(delivery)
    },

    fail,

    /** Gives up the jobs that are not on the engine yet, for somebody else to do. */
    takeUnstarted (): Delivery[] {
      const unstarted = decoded.splice(0).map(({ delivery }) => delivery)
      for (const delivery of unstarted) release(delivery)
      ahead -= unstarted.length
      return unstarted
    }
  }

  async function prepare (delivery: Delivery): Promise<void> {
    const startedAtMs = performance.now()
    try {
      if (isExpired(delivery)) return await drop(delivery)
      const rgb = await watched('decoding', 1.25 * decodeTimeoutMs, decoder.decode(delivery.job.image, delivery.job.contentType))
      const decodedAtMs = performance.now()
      decoded.push({ delivery, rgb, decodeMs: decodedAtMs - startedAtMs, decodedAtMs })
      void pump()
    } catch (error) {
      ahead--
      state.changed()
      if (!(error instanceof DecodeError)) log.error({ event: 'decode-failed', requestId: delivery.job.id, err: error }, 'Decoder failed')
      await fail(delivery, error instanceof DecodeError ? error : { code: 'INFERENCE_FAILED', message: 'The image could not be processed' })
    }
  }

  /** Nobody waits for it any more. */
  async function drop (delivery: Delivery): Promise<void> {
    ahead--
    state.changed()
    await fail(delivery, { code: 'DEADLINE_EXCEEDED', message: 'The deadline passed before a worker could take the image' })
  }

  async function pump (): Promise<void> {
    if (busy) return
    busy = true
    for (let batch = nextBatch(); batch.jobs.length > 0; batch = nextBatch()) await runBatch(batch)
    busy = false
  }

  function nextBatch (): Batch {
    const jobs = decoded.splice(0, warm.maxBatch)
    const live = jobs.filter(({ delivery }) => !isExpired(delivery))
    for (const job of jobs) if (!live.includes(job)) void drop(job.delivery)
    ahead -= live.length
    state.changed()
    return { jobs: live, startedAtMs: performance.now() }
  }

  /** Outcomes are stored while the next batch runs: the engine does not wait for Redis. */
  async function runBatch (batch: Batch): Promise<void> {
    try {
      const scores = await infer(batch.jobs)
      for (const [index, job] of batch.jobs.entries()) void succeed(job, batch, scores.subarray(index * labels.length, (index + 1) * labels.length))
    } catch (error) {
      log.error({ event: 'batch-failed', batchSize: batch.jobs.length, err: error }, 'The engine failed on a batch')
      if (batch.jobs.length > 1) {
        for (const job of batch.jobs) await runBatch({ jobs: [job], startedAtMs: performance.now() })
      } else {
        for (const { delivery } of batch.jobs) void fail(delivery, { code: 'INFERENCE_FAILED', message: 'The model failed on this image' })
      }
    }
  }

  async function infer (jobs: Decoded[]): Promise<Float32Array> {
    const input = new Float32Array(jobs.length * imageValues)
    for (const [index, { rgb }] of jobs.entries()) writeImage(rgb, input, index)
    const limitMs = Math.max(patienceMs, 10 * batchMs(warm.latency, jobs.length))
    const startedAtMs = performance.now()
    const scores = await watched(`a batch of ${jobs.length}`, limitMs, inference.infer(input, jobs.length))
    rate.ran(jobs.length, performance.now() - startedAtMs)
    if (scores.length !== jobs.length * labels.length) throw new Error(`the model gave ${scores.length} scores for ${jobs.length} images of ${labels.length} classes`)
    if (scores.some(Number.isNaN)) throw new Error('the model gave scores that are not numbers')
    return scores
  }

  async function succeed ({ delivery, decodeMs, decodedAtMs }: Decoded, { jobs, startedAtMs }: Batch, scores: Float32Array): Promise<void> {
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

  async function fail (delivery: Delivery, { code, message }: { code: FailureCode, message: string }): Promise<void> {
    await finish(delivery, { v: protocolVersion, id: delivery.job.id, status: 'error', code, message, worker: name, deliveries: delivery.deliveries })
  }

  /** Until Redis acknowledged it, or nobody can be waiting any more. */
  async function finish (delivery: Delivery, outcome: Outcome): Promise<void> {
    for (let waitMs = 50; ; waitMs = Math.min(2 * waitMs, 500)) {
      try {
        const first = await consumer.finish(delivery, outcome)
        logJob(delivery, outcome, first)
        break
      } catch (error) {
        if (ageMs(delivery) > delivery.job.ttlMs + limits.jobGraceMs) {
          log.warn({ event: 'outcome-dropped', requestId: delivery.job.id, err: error }, 'Redis did not take the outcome before its deadline')
          break
        }
        await sleep(waitMs)
      }
    }
    finished++
    rate.finished()
    release(delivery)
  }

  function release (delivery: Delivery): void {
    held.delete(delivery.entry)
    state.changed()
  }

  function logJob ({ job, deliveries }: Delivery, outcome: Outcome, first: boolean): void {
    const fields = outcome.status === 'ok'
      ? { outcome: 'ok', ...outcome.timings, batchSize: outcome.batchSize, engine: outcome.engine }
      : { outcome: outcome.code }
    log.info({ event: 'job', requestId: job.id, ...fields, model: manifest.name, deliveries, bytes: job.image.length, ...(first ? {} : { late: true }) }, 'job')
  }

  function ageMs ({ entry }: Delivery): number {
    return clock.now() - Number(entry.split('-')[0])
  }

  function isExpired (delivery: Delivery): boolean {
    return ageMs(delivery) > delivery.job.ttlMs
  }

  async function watched<T> (what: string, ms: number, work: Promise<T>): Promise<T> {
    const timer = setTimeout(() => onWedged(`${what} took longer than ${Math.round(ms)} ms`), ms)
    try {
      return await work
    } finally {
      clearTimeout(timer)
    }
  }
}

export type Pipeline = ReturnType<typeof createPipeline>

function round (ms: number): number {
  return Math.round(ms * 10) / 10
}

import { createHash } from 'node:crypto'
import { imageFormats, type ImageFormat } from '@streamsight/images'
import { Compile, Type, type Static } from '@streamsight/schema'

/** Raised when a field changes its meaning. A worker refuses jobs, and a gateway outcomes, of another version. */
export const protocolVersion = 1

/** One image on its way to a worker. */
export interface Job {
  /** UUID of the image to classify: 122 random bits, or the hash of an Idempotency-Key. Not the client's `requestId`. */
  id: string
  /** Milliseconds from enqueueing within which somebody waits for the answer. */
  ttlMs: number
  /** Channel of this one request. */
  replyTo: string
  /** What the gateway found in the first bytes. The worker picks its decoder by it. */
  format: ImageFormat
  /**
   * How many workers fell silent with this job before it was enqueued this time: 0 but after data loss in Redis. Counts as
   * deliveries. That Redis lost a job is no worker's death and not counted.
   */
  attempt: number
  /** SHA-256 of the bytes, in hex. What a worker reads must have the same. */
  fingerprint: string
  options: JobOptions
  /** The bytes as uploaded. */
  image: Buffer
}

export interface JobOptions {
  /** Predictions wanted, 1 to 100. */
  topK: number
}

/** Why a job has no predictions. The gateway's error table gives each its HTTP status. */
export const failureCodes = [
  'UNDECODABLE_IMAGE',
  'UNSUPPORTED_IMAGE',
  'TOO_MANY_PIXELS',
  'POISONED_IMAGE',
  'INFERENCE_FAILED',
  'DEADLINE_EXCEEDED'
] as const
export type FailureCode = (typeof failureCodes)[number]

const Timings = Type.Object({
  queueMs: Type.Number({ description: 'From enqueueing until a worker took the job' }),
  decodeMs: Type.Number({ description: 'From the bytes to pixels of the model’s size' }),
  inferMs: Type.Number({ description: 'The whole batch on the engine, waiting for it included' })
})

/** One class of an answer. Declared once: worker, wire and HTTP answer take the shape of a prediction from here. */
export const Prediction = Type.Object({
  label: Type.String(),
  probability: Type.Number({ description: '0 to 1' }),
  index: Type.Integer({ minimum: 0, description: 'Of the class: classes of the same label stay apart by it' }),
  id: Type.Optional(
    Type.String({ description: 'Of the class, where its model has ids: n02123045 for ImageNet’s tabby' })
  )
})

const Success = Type.Object({
  v: Type.Literal(protocolVersion),
  id: Type.String(),
  status: Type.Literal('ok'),
  predictions: Type.Array(Prediction),
  model: Type.Object({ name: Type.String(), version: Type.String() }),
  engine: Type.String(),
  worker: Type.String(),
  batchSize: Type.Integer(),
  deliveries: Type.Integer({ description: 'How many workers were given this job, this one included' }),
  timings: Timings
})

const Failure = Type.Object({
  v: Type.Literal(protocolVersion),
  id: Type.String(),
  status: Type.Literal('error'),
  code: Type.Union(failureCodes.map(code => Type.Literal(code))),
  message: Type.String({
    description: 'For the client: says what is wrong with the image, never how the worker is built'
  }),
  worker: Type.String(),
  deliveries: Type.Integer()
})

export type Timings = Static<typeof Timings>
export type Prediction = Static<typeof Prediction>
export type Success = Static<typeof Success>
export interface Failure extends Omit<Static<typeof Failure>, 'code'> {
  code: FailureCode
}

/** What became of a job, as a worker says it. Stored once and published once; the first one wins. */
export type Outcome = Success | Failure

/** An outcome as it is stored and published. */
export type Answer = Outcome & {
  /** What it answers, as `askOf` gives it. */
  ask: string
}

const Asked = Type.Object({ ask: Type.String() })
const answerSchema = Compile(Type.Intersect([Asked, Type.Union([Success, Failure])]))

export function fingerprintOf(image: Buffer): string {
  return createHash('sha256').update(image).digest('hex')
}

/** What a job asks, short: two jobs of one id must ask the same. */
export function askOf({ fingerprint, options }: Pick<Job, 'fingerprint' | 'options'>): string {
  return `${fingerprint}:${options.topK}`
}

/** False if the bytes are not those that the gateway was sent. */
export function isIntact({ fingerprint, image }: Pick<Job, 'fingerprint' | 'image'>): boolean {
  return fingerprintOf(image) === fingerprint
}

/** Would the same image, sent again, perhaps fare better? Then its outcome answers who waits now, and nobody later. */
export function isRetryable(outcome: Outcome): boolean {
  return outcome.status === 'error' && (outcome.code === 'DEADLINE_EXCEEDED' || outcome.code === 'INFERENCE_FAILED')
}

/** The fields of a stream entry in wire order; the image comes last, so that a person can read the start of an entry. */
export function encodeJob(job: Job): Array<string | Buffer> {
  return [
    'v',
    String(protocolVersion),
    'id',
    job.id,
    'ttl',
    String(job.ttlMs),
    're',
    job.replyTo,
    'ct',
    job.format,
    'n',
    String(job.attempt),
    'opt',
    JSON.stringify(job.options),
    'fp',
    job.fingerprint,
    'img',
    job.image
  ]
}

/** Throws an Error that names the field, if the entry was not written by a gateway of this version. */
export function decodeJob(fields: Record<string, Buffer>): Job {
  const text = (name: string): string => {
    const value = fields[name]
    if (value === undefined) throw new Error(`job without field "${name}"`)
    // A small Buffer is a slice of the socket's 64 KB chunk and would keep all of it alive.
    return value.toString()
  }

  if (text('v') !== String(protocolVersion))
    throw new Error(`job of protocol version ${text('v')}, this worker speaks ${protocolVersion}`)
  const format = imageFormats.find(type => type === text('ct'))
  if (format === undefined) throw new Error(`job with unknown image type "${text('ct')}"`)
  if (fields['img'] === undefined) throw new Error('job without field "img"')
  const [ttlMs, attempt] = [Number(text('ttl')), Number(text('n'))]
  // NaN would never expire, and never be one delivery too many.
  if (!Number.isFinite(ttlMs) || !Number.isInteger(attempt))
    throw new Error(`job with ttl "${text('ttl')}" and n "${text('n')}"`)

  return {
    id: text('id'),
    ttlMs,
    replyTo: text('re'),
    format,
    attempt,
    fingerprint: text('fp'),
    options: JSON.parse(text('opt')) as JobOptions,
    image: fields['img']
  }
}

export function encodeOutcome(outcome: Outcome, ask: string): string {
  return JSON.stringify({ ...outcome, ask })
}

/** Throws if the text is not an outcome of this protocol version. */
export function decodeOutcome(text: string): Answer {
  const value: unknown = JSON.parse(text)
  if (!answerSchema.Check(value))
    throw new Error(`not an outcome of protocol version ${protocolVersion}: ${text.slice(0, 200)}`)
  return value as Answer
}

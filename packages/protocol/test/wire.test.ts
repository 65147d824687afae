import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import { imageFormats } from '@streamsight/images'
import {
  decodeJob,
  decodeOutcome,
  encodeDeadLetter,
  encodeJob,
  encodeOutcome,
  failureCodes,
  group,
  keysOf,
  protocolVersion,
  replyChannel
} from '@streamsight/protocol'
import { startRedis } from '../../../scripts/redis.js'
import { ask, failure, jobOf, openLab, readOne, success } from './lab.ts'

const id = '5f2b8a52-8f4e-4c39-9a58-2d0f6f3b7c11'
let redis: Awaited<ReturnType<typeof startRedis>>

before(async () => {
  redis = await startRedis()
})
after(() => redis.stop())

/** An entry's fields as a worker reads them. */
function fieldsOf(fields: Record<string, string | undefined> = {}): Record<string, Buffer> {
  const encoded = encodeJob(jobOf('ss', { id }))
  const pairs = Array.from(
    { length: encoded.length / 2 },
    (_, i) => [String(encoded[2 * i]), String(encoded[2 * i + 1])] as const
  )
  const texts: Record<string, string | undefined> = { ...Object.fromEntries(pairs), ...fields }
  return Object.fromEntries(
    Object.entries(texts).flatMap(([name, text]) => (text === undefined ? [] : [[name, Buffer.from(text)]]))
  )
}

test('the keys of a model share one hash tag, and the channel of a request has none', () => {
  const { about, job, result, ...keys } = keysOf('ss', 'everyday')
  assert.deepEqual(keys, {
    jobs: '{ss:everyday}:jobs',
    dead: '{ss:everyday}:dead',
    workers: '{ss:everyday}:workers',
    seen: '{ss:everyday}:workers:seen'
  })
  assert.equal(about('0f'), '{ss:everyday}:about:0f')
  assert.equal(job(id), `{ss:everyday}:job:${id}`)
  assert.equal(result(id), `{ss:everyday}:res:${id}`)
  assert.equal(replyChannel('ss', id), `ss:res:${id}`)
  assert.equal(group, 'workers')
})

test('the words of the protocol are these', () => {
  assert.equal(protocolVersion, 1)
  assert.deepEqual(imageFormats, ['jpeg', 'png', 'webp', 'gif', 'avif', 'heic', 'tiff', 'bmp'])
  assert.deepEqual(failureCodes, [
    'UNDECODABLE_IMAGE',
    'UNSUPPORTED_IMAGE',
    'TOO_MANY_PIXELS',
    'POISONED_IMAGE',
    'INFERENCE_FAILED',
    'DEADLINE_EXCEEDED'
  ])
})

test('a job is a stream entry of nine fields, the image last', async t => {
  const lab = await openLab(t, redis.url)
  await lab.enqueue({
    id,
    replyTo: `ss:res:${id}`,
    format: 'webp',
    attempt: 2,
    ttlMs: 8_000,
    options: { topK: 3 },
    image: Buffer.from('RIFF')
  })
  const entries = await lab.redis.sendCommand<Array<[string, string[]]>>(['XRANGE', lab.keys.jobs, '-', '+'])
  assert.deepEqual(
    entries.map(([, fields]) => fields),
    [
      [
        'v',
        '1',
        'id',
        id,
        'ttl',
        '8000',
        're',
        `ss:res:${id}`,
        'ct',
        'webp',
        'n',
        '2',
        'opt',
        '{"topK":3}',
        'fp',
        sha256(Buffer.from('RIFF')),
        'img',
        'RIFF'
      ]
    ]
  )
})

test('a success is this JSON', () => {
  const text =
    `{"v":1,"id":"${id}","status":"ok",` +
    '"predictions":[{"label":"tabby","probability":0.75,"index":281,"id":"n02123045"}],' +
    '"model":{"name":"everyday","version":"1"},"engine":"cpu","worker":"host-1","batchSize":4,"deliveries":1,' +
    '"timings":{"queueMs":1.5,"decodeMs":2.5,"inferMs":3.5},' +
    `"ask":"${ask}"}`
  assert.equal(encodeOutcome(success(id), ask), text)
  assert.deepEqual(decodeOutcome(text), { ...success(id), ask })
})

test('a failure is this JSON', () => {
  const text = `{"v":1,"id":"${id}","status":"error","code":"UNDECODABLE_IMAGE","message":"The image is broken","worker":"host-1","deliveries":1,"ask":"${ask}"}`
  assert.equal(encodeOutcome(failure(id), ask), text)
  assert.deepEqual(decodeOutcome(text), { ...failure(id), ask })
})

test('a dead letter has these fields', () => {
  const letter = {
    id,
    code: 'POISONED_IMAGE',
    error: 'none survived',
    deliveries: 3,
    format: 'png',
    bytes: 12,
    sha256: 'ab12',
    worker: 'host-1'
  }
  assert.deepEqual(encodeDeadLetter(letter), [
    'id',
    id,
    'code',
    'POISONED_IMAGE',
    'error',
    'none survived',
    'deliveries',
    '3',
    'format',
    'png',
    'bytes',
    '12',
    'sha256',
    'ab12',
    'worker',
    'host-1'
  ])
})

test('a job is decoded into what was encoded', () => {
  assert.deepEqual(decodeJob(fieldsOf()), jobOf('ss', { id }))
})

for (const field of ['v', 'id', 'ttl', 're', 'ct', 'n', 'opt', 'fp', 'img']) {
  test(`a job without "${field}" is refused by that name`, () => {
    assert.throws(() => decodeJob(fieldsOf({ [field]: undefined })), { message: `job without field "${field}"` })
  })
}

test('a job of another protocol version is refused', () => {
  assert.throws(() => decodeJob(fieldsOf({ v: '2' })), { message: 'job of protocol version 2, this worker speaks 1' })
})

test('a job with an image type that no decoder knows is refused', () => {
  assert.throws(() => decodeJob(fieldsOf({ ct: 'svg' })), { message: 'job with unknown image type "svg"' })
})

test('an outcome of another protocol version is refused', () => {
  for (const outcome of [success(id), failure(id)]) {
    assert.throws(
      () => decodeOutcome(JSON.stringify({ ...outcome, ask, v: 2 })),
      /^Error: not an outcome of protocol version 1: \{"v":2/
    )
  }
})

test('what is no outcome is refused', () => {
  const { timings: _timings, ...untimed } = success(id)
  const garbage = [
    '',
    'null',
    '[]',
    '{}',
    '"ok"',
    '{"v":1',
    JSON.stringify({ ...untimed, ask }),
    JSON.stringify({ ...failure(id), code: 'UNHEARD_OF', ask }),
    JSON.stringify(success(id))
  ]
  for (const text of garbage) assert.throws(() => decodeOutcome(text), `accepted ${text}`)
})

const images = {
  'every byte there is': Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)),
  '100 KB of noise': randomBytes(100 * 1024),
  'a picture of line ends, zeros and broken UTF-8': Buffer.from('0d0a00242d310d0afffec328c0af', 'hex')
}

for (const [what, image] of Object.entries(images)) {
  test(`${what} reaches the worker byte for byte`, async t => {
    const lab = await openLab(t, redis.url)
    const worker = await lab.worker('a')
    await lab.enqueue({ image })
    const { job } = await readOne(worker)
    assert.equal(sha256(job.image), sha256(image))
    assert.equal(job.image.length, image.length)
  })
}

test('a claimed image is the same byte for byte', async t => {
  const lab = await openLab(t, redis.url)
  const { entry } = await lab.delivered(await lab.worker('a'), { image: images['100 KB of noise'] })
  const claimed = await (await lab.worker('b')).claim({ entry, consumer: 'a', idleMs: 0, deliveries: 1 }, 0)
  assert.equal(claimed && sha256(claimed.job.image), sha256(images['100 KB of noise']))
})

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}

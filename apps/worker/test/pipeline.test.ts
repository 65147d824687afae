import assert from 'node:assert/strict'
import { after, before, test, type TestContext } from 'node:test'
import { createClock, type Consumer, type Outcome } from '@streamsight/protocol'
import { createLogger } from '@streamsight/service'
import { openLab, readOne } from '../../../packages/protocol/test/lab.ts'
import { startRedis } from '../../../scripts/redis.js'
import { until } from '../../../test/support/until.ts'
import { startInference, type Inference } from '../dist/engines/inference.js'
import { createOutcomes } from '../src/outcomes.ts'
import { createPipeline } from '../src/pipeline.ts'
import { createRate } from '../src/batching/rate.ts'
import { createImageWriter } from '../src/tensor.ts'
import type { WarmUp } from '../src/batching/warm-up.ts'
import { temporaryModels, writeModel } from './support/models.ts'
import { createMortalThread } from './support/mortal-thread.ts'
import { createOnnxGraph } from './support/onnx.ts'
import { decoderOf, draw, grid, inputOf, type Colour } from './support/pictures.ts'

const side = 4
const imageValues = 3 * side * side

let redis: Awaited<ReturnType<typeof startRedis>>
before(async () => {
  redis = await startRedis()
})
after(() => redis.stop())

/** A model that says which share of a picture's light is red, green and blue. To a black one it says 0 ÷ 0. */
function shareOfColours(): Uint8Array {
  const graph = createOnnxGraph()
  const means = graph.node('Flatten', [graph.node('GlobalAveragePool', ['pixels'])])
  const axes = graph.weight('int64', [1], BigInt64Array.of(1n))
  graph.node('Div', [means, graph.node('ReduceSum', [means, axes], { keepdims: 1 })], {}, 'shares')
  return graph.toBytes({
    inputs: [{ name: 'pixels', type: 'float32', dims: ['N', 3, side, side] }],
    outputs: [{ name: 'shares', type: 'float32', dims: ['N', 3] }]
  })
}

const curves = {
  cpu: { latency: { aMs: 0, bMs: 1 }, maxBatch: 8, sizes: [], measured: [] },
  /** Any wait pays. */
  gpu: { latency: { aMs: 1_000, bMs: 0 }, maxBatch: 8, sizes: [2, 4, 8], measured: [] }
} satisfies Record<string, WarmUp>

interface Options {
  warm?: WarmUp
  maxDelayMs?: number
}

/** A pipeline on a real engine, decoder and Redis, with a door before the decoder and a view of the batches. */
async function open(t: TestContext, { warm = curves.cpu, maxDelayMs = 0 }: Options = {}) {
  const dir = temporaryModels(t)
  const model = await writeModel(dir, {
    name: 'shares',
    input: inputOf({ width: side, kernel: 'nearest' }),
    activation: 'softmax',
    labels: ['red', 'green', 'blue'],
    artifact: { format: 'onnx', path: 'model.onnx', layout: 'NCHW' },
    files: { 'model.onnx': shareOfColours() }
  })
  const thread = createMortalThread(dir, imageValues)
  const engine = await startInference({ model, choice: 'onnx-cpu', threads: 1 }, { script: thread.script })
  t.after(() => engine.close())
  const decoder = await decoderOf(model.manifest.input)

  const lab = await openLab(t, redis.url)
  const worker = await lab.worker('w')
  const clock = createClock(lab.commands)
  await clock.sync()
  const outcomes = new Map<string, Outcome>()
  const sizes: number[] = []
  const closed = new Map<string, Promise<void>>()
  const consumer: Consumer = {
    ...worker,
    finish: async (delivery, outcome, ...rest) => {
      outcomes.set(outcome.id, outcome)
      return await worker.finish(delivery, outcome, ...rest)
    }
  }
  const inference: Inference = {
    ...engine,
    infer: async (input, size) => {
      sizes.push(size)
      return await engine.infer(input, size)
    }
  }
  const log = createLogger({ name: 'test', level: 'silent', pretty: false })
  const pipeline = createPipeline({
    model,
    decoder: {
      ...decoder,
      decode: async (image, type) => {
        await closed.get(image.toString('base64'))
        return await decoder.decode(image, type)
      }
    },
    inference,
    writeImage: createImageWriter(model.manifest.input, 'NCHW'),
    warm,
    maxDelayMs,
    rate: createRate(warm),
    outcomes: createOutcomes({
      worker: 'w',
      model: model.manifest,
      engine: engine.name,
      consumer,
      clock,
      log
    }),
    clock,
    log,
    onWedged: what => {
      throw new Error(what)
    }
  })

  return {
    sizes,
    starts: thread.starts,

    /** Gives the pipeline pictures of these colours at once. Resolves to their outcomes. */
    async run(...colours: Colour[]): Promise<Outcome[]> {
      return await finished(await Promise.all(colours.map(colour => take(colour))))
    },

    take,
    finished,

    /** Keeps pictures of this colour from being decoded until the returned function is called. */
    async hold(colour: Colour): Promise<() => void> {
      let release = () => {}
      closed.set(
        (await picture(colour)).toString('base64'),
        new Promise(resolve => {
          release = resolve
        })
      )
      return () => release()
    }
  }

  /** `damage` is done to the bytes on their way. */
  async function take(colour: Colour, damage: (image: Buffer) => void = () => {}): Promise<string> {
    const { id } = await lab.enqueue({ image: await picture(colour), format: 'png' })
    const delivery = await readOne(consumer)
    damage(delivery.job.image)
    pipeline.take(delivery)
    return id
  }

  async function finished(ids: string[]): Promise<Outcome[]> {
    await until('the jobs are finished', () => ids.every(id => outcomes.has(id)))
    return ids.flatMap(id => outcomes.get(id) ?? [])
  }
}

async function picture(colour: Colour): Promise<Buffer> {
  return await draw(grid(side, side, () => colour))
    .png()
    .toBuffer()
}

function labelOf(outcome: Outcome | undefined): string | undefined {
  return outcome?.status === 'ok' ? outcome.predictions[0]?.label : outcome?.code
}

const red: Colour = [200, 10, 10]
const green: Colour = [10, 200, 10]
const blue: Colour = [10, 10, 200]
const black: Colour = [0, 0, 0]
/** The engine's thread does not survive it: its first value is 1. */
const deadly: Colour = [255, 0, 0]

test('pictures are answered with what the model says to each', async t => {
  const { run } = await open(t)
  assert.deepEqual((await run(red, green, blue)).map(labelOf), ['red', 'green', 'blue'])
})

test('a picture that the model answers with NaN fails alone, and is not tried again', async t => {
  const pipeline = await open(t)
  const release = await pipeline.hold(green)
  const ids = [await pipeline.take(green), await pipeline.take(black), await pipeline.take(blue)]
  release()
  assert.deepEqual((await pipeline.finished(ids)).map(labelOf), ['green', 'INFERENCE_FAILED', 'blue'])
  assert.ok(pipeline.sizes.length <= 3)
})

test('C8: a picture that was damaged on its way gets an error and no wrong answer; its neighbours are answered', async t => {
  const pipeline = await open(t)
  const flip = (image: Buffer) => image.writeUInt8(image.readUInt8(image.length - 1) ^ 1, image.length - 1)
  const ids = [await pipeline.take(green), await pipeline.take(red, flip), await pipeline.take(blue)]
  const outcomes = await pipeline.finished(ids)
  assert.deepEqual(outcomes.map(labelOf), ['green', 'INFERENCE_FAILED', 'blue'])
  assert.match(String(outcomes[1]?.status === 'error' && outcomes[1].message), /damaged on its way/)
})

test('a picture that ends the engine’s thread fails alone; its neighbours are tried again', async t => {
  const pipeline = await open(t, { warm: curves.gpu, maxDelayMs: 1_000 })
  assert.deepEqual((await pipeline.run(red)).map(labelOf), ['red'])
  assert.deepEqual((await pipeline.run(green, deadly, blue)).map(labelOf), ['green', 'INFERENCE_FAILED', 'blue'])
  assert.deepEqual((await pipeline.run(red)).map(labelOf), ['red'], 'and the next ones are answered')
})

test('pictures each of which ends the engine’s thread all fail, and each is tried twice at most', async t => {
  const pipeline = await open(t, { warm: curves.gpu, maxDelayMs: 1_000 })
  await pipeline.run(red)
  assert.deepEqual((await pipeline.run(deadly, deadly, deadly)).map(labelOf), [
    'INFERENCE_FAILED',
    'INFERENCE_FAILED',
    'INFERENCE_FAILED'
  ])
  assert.deepEqual((await pipeline.run(blue)).map(labelOf), ['blue'])
  assert.ok(pipeline.starts() <= 1 + 2 * 3, `${pipeline.starts()} starts`)
})

test('where waiting pays, a batch waits for a picture that is being decoded, and is padded to a size that the engine knows', async t => {
  const pipeline = await open(t, { warm: curves.gpu, maxDelayMs: 20_000 })
  await pipeline.run(red)
  const release = await Promise.all([red, green, blue].map(colour => pipeline.hold(colour)))
  const ids = await Promise.all([pipeline.take(red), pipeline.take(green), pipeline.take(blue)])
  for (const open of release) open()
  const outcomes = await pipeline.finished(ids)
  assert.deepEqual(outcomes.map(labelOf), ['red', 'green', 'blue'])
  assert.deepEqual(
    outcomes.map(outcome => (outcome.status === 'ok' ? outcome.batchSize : 0)),
    [3, 3, 3]
  )
  assert.deepEqual(pipeline.sizes, [2, 4])
})

test('a batch waits no longer than it may', async t => {
  const pipeline = await open(t, { warm: curves.gpu, maxDelayMs: 1 })
  await pipeline.run(red)
  const release = await pipeline.hold(blue)
  t.after(release)
  const late = await pipeline.take(blue)
  assert.deepEqual((await pipeline.finished([await pipeline.take(red)])).map(labelOf), ['red'])
  release()
  assert.deepEqual((await pipeline.finished([late])).map(labelOf), ['blue'])
})

test('a CPU never waits', async t => {
  const pipeline = await open(t, { warm: curves.cpu, maxDelayMs: 20_000 })
  await pipeline.run(red)
  const release = await pipeline.hold(blue)
  const late = await pipeline.take(blue)
  assert.deepEqual((await pipeline.finished([await pipeline.take(red)])).map(labelOf), ['red'])
  release()
  await pipeline.finished([late])
})

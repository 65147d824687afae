import assert from 'node:assert/strict'
import { readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { openModel, type Manifest, type Model } from '@streamsight/models'
import { startInference, type Inference } from '../dist/engines/inference.js'
import { chooseEngine } from '../src/engines/choose.ts'
import { engineNames, type EngineName } from '../src/engines/engine.ts'
import { createImageWriter } from '../src/tensor.ts'
import { copyOfEveryday, editManifest, flipByte, start } from './support/models.ts'
import { decoderOf, expected, fixtures, root } from './support/pictures.ts'

const classes = 10
const imageValues = 32 * 32 * 3
const threads = 2
let everyday: Model
/** The fixtures as the model sees them, and pictures of noise. */
let pixels: Uint8Array[]
/** One of each library; a test that breaks or closes one starts its own. */
let engines: Record<'onnx-cpu' | 'tfjs-wasm', Inference>

before(async () => {
  everyday = await openModel(join(root, 'models'), 'everyday')
  const decoder = await decoderOf(everyday.manifest.input)
  const decoded = await Promise.all(fixtures.map(({ image, type }) => decoder.decode(image, type)))
  const noise = Array.from({ length: 30 }, (_, i) =>
    Uint8Array.from({ length: imageValues }, (_, j) =>
      Math.floor(256 * Math.abs((Math.sin(12.9898 * (i + 1) * (j + 1)) * 43_758.5453) % 1))
    )
  )
  pixels = [...decoded, ...noise]
  const [onnx, tfjs] = await Promise.all([
    startInference({ model: everyday, choice: 'onnx-cpu', threads }),
    startInference({ model: everyday, choice: 'tfjs-wasm', threads })
  ])
  engines = { 'onnx-cpu': onnx, 'tfjs-wasm': tfjs }
})

after(() => Promise.all(Object.values(engines).map(engine => engine.close())))

/** The pictures as a batch in the layout of the engine's artifact. */
function batchOf(pictures: Uint8Array[], { layout }: Pick<Inference, 'layout'>): Float32Array {
  const writeImage = createImageWriter(everyday.manifest.input, layout)
  const batch = new Float32Array(pictures.length * imageValues)
  for (const [i, picture] of pictures.entries()) writeImage(picture, batch, i)
  return batch
}

const inferAll = (inference: Inference, pictures: Uint8Array[]) =>
  inference.infer(batchOf(pictures, inference), pictures.length)

function furthest(a: Float32Array, b: Float32Array): number {
  assert.equal(a.length, b.length)
  return a.reduce((max, value, i) => Math.max(max, Math.abs(value - (b[i] ?? NaN))), 0)
}

test('ONNX Runtime and TensorFlow.js answer the same within a thousandth', async t => {
  const { 'onnx-cpu': onnx, 'tfjs-wasm': tfjs } = engines
  assert.deepEqual([onnx.name, onnx.layout, tfjs.name, tfjs.layout], ['onnx-cpu', 'NCHW', 'tfjs-wasm', 'NHWC'])
  const difference = furthest(await inferAll(onnx, pixels), await inferAll(tfjs, pixels))
  t.diagnostic(`largest difference of a probability: ${difference.toExponential(1)}`)
  assert.ok(difference <= 1e-3)
})

for (const choice of ['onnx-cpu', 'tfjs-wasm'] as const) {
  test(`${choice} knows every picture of ours`, async () => {
    const inference = engines[choice]
    const scores = await inferAll(inference, pixels.slice(0, fixtures.length))
    assert.equal(scores.length, fixtures.length * classes)
    for (const [i, { file }] of fixtures.entries()) {
      const own = scores.subarray(i * classes, (i + 1) * classes)
      assert.equal(everyday.labels[own.indexOf(Math.max(...own))]?.label, expected[file], file)
      assert.ok(Math.abs(own.reduce((a, b) => a + b, 0) - 1) < 1e-5, `${file}: probabilities sum to 1`)
    }
  })

  test(`${choice} answers a batch of five as it answers each of them alone`, async () => {
    const inference = engines[choice]
    const five = pixels.slice(0, 5)
    const together = await inferAll(inference, five)
    for (const [i, picture] of five.entries()) {
      const difference = furthest(
        await inferAll(inference, [picture]),
        together.subarray(i * classes, (i + 1) * classes)
      )
      assert.ok(difference <= 1e-6, `picture ${i} differs by ${difference}`)
    }
  })

  test(`${choice} answers a picture the same wherever in the batch it stands, and again`, async () => {
    const inference = engines[choice]
    const five = pixels.slice(0, 5)
    const forwards = await inferAll(inference, five)
    const backwards = await inferAll(inference, five.toReversed())
    for (let i = 0; i < 5; i++) {
      const there = forwards.subarray(i * classes, (i + 1) * classes)
      assert.ok(furthest(there, backwards.subarray((4 - i) * classes, (5 - i) * classes)) <= 1e-6)
    }
    assert.deepEqual(await inferAll(inference, five), forwards)
  })

  test(`${choice} takes batches one after another without waiting for the answers`, async () => {
    const inference = engines[choice]
    const alone = await Promise.all(pixels.slice(0, 8).map(picture => inferAll(inference, [picture])))
    const together = await inferAll(inference, pixels.slice(0, 8))
    for (const [i, scores] of alone.entries())
      assert.ok(furthest(scores, together.subarray(i * classes, (i + 1) * classes)) <= 1e-6)
  })

  test(`${choice} leaves the event loop of its caller free`, async () => {
    const inference = engines[choice]
    const batch = batchOf(
      Array.from({ length: 32 }, (_, i) => pixels[i % pixels.length] ?? new Uint8Array(imageValues)),
      inference
    )
    let turns = 0
    let running = true
    const count = () => {
      turns++
      if (running) setImmediate(count)
    }
    setImmediate(count)
    await inference.infer(batch, 32)
    running = false
    // A call that blocked would leave the two or three turns that it takes to deliver its answer.
    assert.ok(turns > 50, `the event loop turned ${turns} times`)
  })

  test(`${choice} rejects a batch of the wrong size and goes on`, async () => {
    const inference = engines[choice]
    await assert.rejects(inference.infer(new Float32Array(imageValues), 2))
    await assert.rejects(inference.infer(new Float32Array(7), 1))
    await assert.rejects(inference.infer(new Float32Array(0), 1))
    assert.equal((await inferAll(inference, pixels.slice(0, 1))).length, classes)
  })

  test(`${choice} rejects what is asked of it after it was closed`, async () => {
    const inference = await startInference({ model: everyday, choice, threads })
    await inference.close()
    await assert.rejects(inferAll(inference, pixels.slice(0, 1)), /closed/)
    await inference.close()
  })

  test(`${choice} answers what it was given before it was closed, and takes nobody down`, async () => {
    // ONNX Runtime runs these batches for 3 ms each: at one of these moments it is in the middle of one.
    for (const waitMs of choice === 'onnx-cpu' ? [0, 2, 4] : [2]) {
      const inference = await startInference({ model: everyday, choice, threads })
      const running = Promise.all([inferAll(inference, pixels), inferAll(inference, pixels)])
      await sleep(waitMs)
      await inference.close()
      for (const scores of await running) assert.equal(scores.length, pixels.length * classes)
    }
  })
}

test('a batch in shared memory is answered as one that is copied, from any place in it', async () => {
  for (const inference of Object.values(engines)) {
    const batch = batchOf(pixels.slice(0, 2), inference)
    const shared = inference.allocate(3 * imageValues).subarray(imageValues)
    shared.set(batch)
    const [first, second] = await Promise.all([inference.infer(shared, 2), inference.infer(batch, 2)])
    assert.deepEqual(first, second)
    assert.deepEqual(await inference.infer(batch, 2), second, 'a copied one stays its owner’s')
  }
})

for (const choice of ['tfjs-node-gpu', 'onnx-cuda', 'onnx-webgpu'] as const) {
  test(`ENGINE=${choice} says why where it can't run`, async t => {
    const outcome = await startInference({ model: everyday, choice, threads }).catch((error: Error) => error)
    if (!(outcome instanceof Error)) {
      await outcome.close()
      return t.skip(`${choice} runs here`)
    }
    const [, reason] = outcome.message.split(`${choice}: `)
    assert.match(outcome.message, new RegExp(`^ENGINE=${choice} can't run model "everyday" here: `))
    assert.ok((reason?.length ?? 0) > 10, outcome.message)
  })
}

test('auto takes the first that runs and says why it took none before', async t => {
  const inference = await start(t, { model: everyday, choice: 'auto', threads })
  const before: EngineName[] = engineNames.slice(0, engineNames.indexOf(inference.name))
  assert.deepEqual(
    inference.rejected.map(({ engine }) => engine),
    before
  )
  for (const { engine, reason } of inference.rejected)
    assert.ok(reason.length > 10 && !reason.includes('\n'), `${engine}: ${reason}`)
})

test('a library can be pinned, and its best engine is taken', async t => {
  assert.match((await start(t, { model: everyday, choice: 'onnx', threads })).name, /^onnx-/)
  assert.match((await start(t, { model: everyday, choice: 'tfjs', threads })).name, /^tfjs-/)
})

test('an engine whose artifact the model does not have says so', async t => {
  const { models, dir } = copyOfEveryday(t)
  editManifest(dir, manifest => {
    manifest.artifacts = manifest.artifacts.filter(({ format }) => format === 'tfjs-layers')
  })
  const model = await openModel(models, 'everyday')
  await assert.rejects(chooseEngine({ model, choice: 'onnx-cpu', threads }), /onnx-cpu: the model has no onnx artifact/)
  assert.match((await start(t, { model, choice: 'auto', threads })).name, /^tfjs-/)
})

const damages = [
  { choice: 'onnx-cpu', file: 'model.onnx' },
  { choice: 'tfjs-wasm', file: 'model.json' },
  { choice: 'tfjs-wasm', file: 'weights.bin' },
  { choice: 'auto', file: 'model.onnx' },
  { choice: 'auto', file: 'weights.bin' }
] as const
for (const { choice, file } of damages) {
  test(`ENGINE=${choice} refuses a model whose ${file} has a wrong byte, is cut short or missing, and names the file`, async t => {
    const { models, dir } = copyOfEveryday(t)
    const model = await openModel(models, 'everyday')
    const path = join(dir, file)
    const refusal = async () => String(await chooseEngine({ model, choice, threads }).catch((error: unknown) => error))
    flipByte(path)
    assert.ok((await refusal()).includes(`${path}: sha256`), await refusal())
    truncateSync(path, 100)
    assert.ok((await refusal()).includes(`${path}: 100 bytes`), await refusal())
    rmSync(path)
    assert.ok((await refusal()).includes(`${path}: missing`), await refusal())
  })
}

test('what is wrong with a model reaches the caller from the engine’s thread', async t => {
  const { models, dir } = copyOfEveryday(t)
  flipByte(join(dir, 'model.onnx'))
  const model = await openModel(models, 'everyday')
  await assert.rejects(startInference({ model, choice: 'onnx-cpu', threads }), /model\.onnx: sha256/)
})

test('a shard that the manifest does not list is refused: nobody would have checked it', async t => {
  const { models, dir } = copyOfEveryday(t)
  editManifest(dir, manifest => {
    for (const artifact of manifest.artifacts)
      artifact.files = artifact.files.filter(({ path }) => path !== 'weights.bin')
  })
  flipByte(join(dir, 'weights.bin'))
  const model = await openModel(models, 'everyday')
  await assert.rejects(startInference({ model, choice: 'tfjs-wasm', threads }), /weights\.bin/)
})

test('an artifact that is not among its own files is refused', async t => {
  const { models, dir } = copyOfEveryday(t)
  editManifest(dir, manifest => {
    for (const artifact of manifest.artifacts) if (artifact.format === 'onnx') artifact.path = 'labels.txt'
  })
  const model = await openModel(models, 'everyday')
  await assert.rejects(chooseEngine({ model, choice: 'onnx-cpu', threads }), /labels\.txt: not among the files/)
})

for (const [choice, file] of [
  ['onnx-cpu', 'model.onnx'],
  ['tfjs-wasm', 'model.json']
] as const) {
  test(`${choice} refuses at load a model whose sizes are not the manifest’s, and says which`, async t => {
    const refusal = async (edit: (manifest: Manifest) => void): Promise<string> => {
      const { models, dir } = copyOfEveryday(t)
      editManifest(dir, edit)
      writeFileSync(
        join(dir, 'labels.txt'),
        everyday.labels
          .map(({ label }) => label)
          .slice(0, JSON.parse(readFileSync(join(dir, 'manifest.json'), 'utf8')).output.classes)
          .join('\n')
      )
      return String(
        await chooseEngine({ model: await openModel(models, 'everyday'), choice, threads }).catch(
          (error: unknown) => error
        )
      )
    }
    assert.match(
      await refusal(({ input }) => {
        input.width = 16
      }),
      new RegExp(`${file}: input "\\w+" is \\[N, .*32.*\\]; the manifest says 16 × 32 pixels`)
    )
    assert.match(
      await refusal(({ artifacts }) => {
        for (const artifact of artifacts) artifact.layout = artifact.layout === 'NCHW' ? 'NHWC' : 'NCHW'
      }),
      new RegExp(`${file}: input .*: its field "layout" must be N`)
    )
    assert.match(
      await refusal(manifest => {
        manifest.output.classes = 9
      }),
      /9 classes/
    )
  })
}

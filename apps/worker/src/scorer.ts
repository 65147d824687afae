/**
 * A program of its own: answers what a model says of pictures, without a server. Started with the folder of models, the model's
 * name and which precision may run. Reads one request a line from its input, as JSON, and answers each with one line, in order;
 * the first line that it writes says what runs, or why nothing does. Ends with its input.
 */
import { readFile } from 'node:fs/promises'
import { argv, exit, stdin, stdout } from 'node:process'
import { createInterface } from 'node:readline'
import { sniff } from '@streamsight/images'
import { activationOf, openModel, type Artifact, type Input, type Manifest, type Model } from '@streamsight/models'
import { chooseEngine, type Chosen } from './engines/choose.ts'
import { precisionChoices, type PrecisionChoice } from './engines/engine.ts'
import { createDecoder } from './pixels/decode.ts'
import type { Decoder } from './pixels/decoder.ts'
import { rank } from './rank.ts'
import { createImageWriter } from './tensor.ts'

export type Activation = Manifest['output']['activation']

/** A picture's path, and how to prepare it and read its scores where that differs from the manifest. */
export interface ScoreRequest {
  path: string
  input?: Input
  activation?: Activation
}

export type ScorerReady = { engine: string; precision: string; precisionReason: string } | { fault: string }

/** Probabilities of all classes in index order, or why this picture has none. */
export type ScoreAnswer = { probabilities: number[] } | { fault: string }

/** As a worker allows by default. */

async function main(): Promise<void> {
  const [modelsDir = '', name = '', wanted = 'auto'] = argv.slice(2)
  const precision = precisionChoices.find(choice => choice === wanted) ?? 'auto'
  const opened = await open(modelsDir, name, precision).catch((error: Error) => ({ fault: error.message }))
  if ('fault' in opened) return say(opened)
  const { model, chosen } = opened
  say({ engine: chosen.name, precision: chosen.precision, precisionReason: chosen.precisionReason })
  const answer = createAnswerer(model, chosen)
  for await (const line of createInterface(stdin)) say(await answer(JSON.parse(line) as ScoreRequest))
}

async function open(modelsDir: string, name: string, precision: PrecisionChoice) {
  const model = await openModel(modelsDir, name)
  return { model, chosen: await chooseEngine({ model, choice: 'auto', precision, threads: 2 }) }
}

function say(line: ScorerReady | ScoreAnswer): void {
  stdout.write(`${JSON.stringify(line)}\n`)
}

/** The pixels of a picture are kept as long as the next requests are about the same: those differ in the arithmetic alone. */
function createAnswerer({ manifest, labels }: Model, { engine, artifact }: Chosen) {
  let decoder: { key: string; decoder: Decoder } | undefined
  let pixels: { key: string; rgb: Uint8Array } | undefined

  return async ({ path, input = manifest.input, activation }: ScoreRequest): Promise<ScoreAnswer> => {
    try {
      const scores = await run(await pixelsOf(path, input), input, artifact)
      const own = activation ?? activationOf(manifest, artifact)
      const ranked = rank(scores, labels, { activation: own, topK: labels.length })
      return { probabilities: ranked.toSorted((a, b) => a.index - b.index).map(({ probability }) => probability) }
    } catch (error) {
      return { fault: (error as Error).message }
    }
  }

  async function run(rgb: Uint8Array, input: Input, { layout }: Artifact): Promise<Float32Array> {
    const size = engine.batchSizes.kind === 'fixed' ? engine.batchSizes.size : 1
    const batch = new Float32Array(size * rgb.length)
    createImageWriter(input, layout)(rgb, batch, 0)
    const scores = await engine.run(batch, size)
    return scores.subarray(0, scores.length / size)
  }

  async function pixelsOf(path: string, input: Input): Promise<Uint8Array> {
    const { width, height, fit, cropFraction, kernel } = input
    const frame = [width, height, fit, cropFraction, kernel].join()
    if (pixels?.key === `${frame} ${path}`) return pixels.rgb
    const image = await readFile(path)
    const format = sniff(image)
    if (format === undefined) throw new Error('not a picture of a known format')
    if (decoder?.key !== frame) {
      await decoder?.decoder.close()
      decoder = { key: frame, decoder: await createDecoder(input) }
    }
    pixels = { key: `${frame} ${path}`, rgb: await decoder.decoder.decode(image, format) }
    return pixels.rgb
  }
}

await main()
// A library's own threads would keep the process.
exit(0)

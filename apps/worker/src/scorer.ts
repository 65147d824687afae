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

/** Of so many pictures the pixels are kept: a search asks for the same few with hundreds of settings, mostly of the arithmetic. */
const keptPixels = 16
/** Scores of so many runs are kept: what is made of them, such as a softmax, needs no other run. */
const keptScores = 4_096

function createAnswerer({ manifest, labels }: Model, { engine, artifact }: Chosen) {
  const decoders = createRecent<Decoder>(1)
  const pixels = createRecent<Uint8Array>(keptPixels)
  const scores = createRecent<Float32Array>(keptScores)

  return async ({ path, input = manifest.input, activation }: ScoreRequest): Promise<ScoreAnswer> => {
    try {
      const run = await scores(`${JSON.stringify(input)} ${path}`, async () => await scoresOf(path, input, artifact))
      const own = activation ?? activationOf(manifest, artifact)
      const ranked = rank(run, labels, { activation: own, topK: labels.length })
      return { probabilities: ranked.toSorted((a, b) => a.index - b.index).map(({ probability }) => probability) }
    } catch (error) {
      return { fault: (error as Error).message }
    }
  }

  async function scoresOf(path: string, input: Input, { layout }: Artifact): Promise<Float32Array> {
    const rgb = await pixelsOf(path, input)
    const size = engine.batchSizes.kind === 'fixed' ? engine.batchSizes.size : 1
    const batch = new Float32Array(size * rgb.length)
    createImageWriter(input, layout)(rgb, batch, 0)
    const found = await engine.run(batch, size)
    return found.slice(0, found.length / size)
  }

  async function pixelsOf(path: string, input: Input): Promise<Uint8Array> {
    const { width, height, fit, cropFraction, kernel } = input
    const frame = [width, height, fit, cropFraction, kernel].join()
    return await pixels(`${frame} ${path}`, async () => {
      const image = await readFile(path)
      const format = sniff(image)
      if (format === undefined) throw new Error('not a picture of a known format')
      const decoder = await decoders(
        frame,
        () => createDecoder(input),
        old => old.close()
      )
      return await decoder.decode(image, format)
    })
  }
}

/** What was made for the last `most` keys; `discard` gives back one that goes. */
function createRecent<Value>(most: number) {
  const kept = new Map<string, Value>()
  return async (key: string, make: () => Promise<Value>, discard?: (value: Value) => Promise<void>): Promise<Value> => {
    const known = kept.get(key) ?? (await make())
    kept.delete(key)
    kept.set(key, known)
    const [oldest] = kept
    if (kept.size > most && oldest !== undefined) {
      kept.delete(oldest[0])
      await discard?.(oldest[1])
    }
    return known
  }
}

await main()
// A library's own threads would keep the process.
exit(0)

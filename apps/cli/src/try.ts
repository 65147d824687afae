import { basename } from 'node:path'
import { ModelError, type Label } from '@streamsight/models'
import { print, type Context, type ExitCode } from './context.ts'
import { formatTable } from './format.ts'
import { openListed } from './models.ts'
import { picturesOf } from './pictures.ts'
import { openScorer, type Precision, type Scorer } from './scorer.ts'

export interface TryArguments {
  name: string
  photos: string[]
  modelsDir: string
  precision: Precision
  /** How many labels of each picture. */
  top: number
  json: boolean
}

interface Guess extends Label {
  index: number
  probability: number
}
type Tried = { picture: string } & ({ predictions: Guess[] } | { error: string })

/** `model try`: what a model says of pictures, beside their names, without a server. */
export async function tryModel(options: TryArguments, context: Context): Promise<ExitCode> {
  const model = await openListed(options.name, options.modelsDir)
  const pictures = await picturesOf(options.photos)
  const scorer = await openScorer(model, { precision: options.precision, signal: context.signal })
  const tried: Tried[] = []
  try {
    for (const picture of pictures) tried.push(await guess(picture, { scorer, labels: model.labels, top: options.top }))
  } finally {
    scorer.close()
  }
  report(tried, { ...options, engine: scorer.engine }, context)
  return tried.some(one => 'error' in one) ? 1 : 0
}

interface Guessing {
  scorer: Scorer
  labels: readonly Label[]
  top: number
}

async function guess(picture: string, { scorer, labels, top }: Guessing): Promise<Tried> {
  try {
    const probabilities = await scorer.score({ path: picture })
    const predictions = probabilities
      .map((probability, index) => ({ index, probability, ...(labels[index] ?? { label: String(index) }) }))
      .toSorted((a, b) => b.probability - a.probability)
      .slice(0, top)
    return { picture, predictions }
  } catch (error) {
    if (!(error instanceof ModelError)) throw error
    return { picture, error: error.message }
  }
}

/** For people a table; in a pipe one line a picture, with tabs between its name, its labels and their probabilities. */
function report(
  tried: Tried[],
  { json, engine, name }: { json: boolean; engine: string; name: string },
  context: Context
): void {
  if (json) return print(context, JSON.stringify(tried, null, 2))
  if (context.output.isTTY !== true) return tried.forEach(one => print(context, cellsOf(one, basename).join('\t')))
  print(context, `${name} on ${engine}\n`)
  const rows = tried.map(one => ('error' in one ? [basename(one.picture), one.error] : rowOf(one)))
  print(context, formatTable(rows))
}

function cellsOf(one: Tried, nameOf: (path: string) => string): string[] {
  if ('error' in one) return [nameOf(one.picture), one.error]
  return [nameOf(one.picture), ...one.predictions.flatMap(({ label, probability }) => [label, probability.toFixed(5)])]
}

function rowOf({ picture, predictions }: Extract<Tried, { predictions: unknown }>): string[] {
  return [basename(picture), ...predictions.map(({ label, probability }) => `${label} ${probability.toFixed(3)}`)]
}

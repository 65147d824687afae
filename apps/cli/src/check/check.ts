import { activationOf, precisionOf, type Model } from '@streamsight/models'
import { print, type Context, type ExitCode } from '../context.ts'
import { formatScale } from '../format.ts'
import { openListed } from '../models.ts'
import { openScorer, type Precision, type Scorer } from '../scorer.ts'
import type { Settings } from './alternatives.ts'
import { readExpected, type Expected } from './answers.ts'
import { differenceOf, isClose, type Difference } from './difference.ts'
import { explain, fieldsOf, type Explanation } from './search.ts'

export interface CheckArguments {
  name: string
  modelsDir: string
  expect: string
  photos: string | undefined
  /** Probabilities may differ by this. */
  tolerance: number
  precision: Precision
  json: boolean
}

interface Result {
  isEqual: boolean
  difference: Difference
  explanation?: Explanation & { difference: Difference; isEqual: boolean }
}

/** Enough to tell alternatives apart, and few enough that hundreds of them take seconds. */
const searchPictures = 6

/** `model check`: compares a model's answers with those of the framework that it comes from, and finds what explains a difference. */
export async function check(options: CheckArguments, context: Context): Promise<ExitCode> {
  const model = await openListed(options.name, options.modelsDir)
  const expected = await readExpected(options.expect, options.photos, model)
  const scorer = await openScorer(model, { precision: precisionFor(model, options), signal: context.signal })
  try {
    const result = await compare(model, { expected, scorer, tolerance: options.tolerance, context })
    report(result, { ...options, engine: scorer.engine }, context)
    return result.isEqual ? 0 : 1
  } finally {
    scorer.close()
  }
}

/** What Python answered is compared with the same weights, where the model has them. */
function precisionFor({ manifest }: Model, { precision }: CheckArguments): Precision {
  const hasExact = manifest.artifacts.some(artifact => precisionOf(artifact) !== 'int8')
  return precision === 'exact' && !hasExact ? 'auto' : precision
}

interface Comparison {
  expected: Expected[]
  scorer: Scorer
  tolerance: number
  context: Context
}

async function compare(model: Model, { expected, scorer, tolerance, context }: Comparison): Promise<Result> {
  const { manifest } = model
  const exact = manifest.artifacts.find(artifact => precisionOf(artifact) !== 'int8') ?? manifest.artifacts[0]
  const start: Settings = {
    input: manifest.input,
    activation: exact === undefined ? manifest.output.activation : activationOf(manifest, exact)
  }
  const measure = (pictures: Expected[]) => (settings: Settings) => measured(settings, pictures, scorer)
  // The activation of the artifact that runs is its own affair, unless another is tried.
  const difference = await measured({ input: start.input }, expected, scorer)
  if (difference.largest <= tolerance) return { isEqual: true, difference }
  if (context.output.isTTY === true) print(context, 'They differ. Trying other settings …')
  const found = await explain(start, measure(fewOf(expected)))
  if (found === undefined) return { isEqual: false, difference }
  const explained = await measured(found.settings, expected, scorer)
  const explanation = { ...found, difference: explained, isEqual: explained.largest <= tolerance }
  return { isEqual: false, difference, explanation }
}

/** Spread over all, as they may be sorted by class. */
function fewOf(expected: Expected[]): Expected[] {
  const step = Math.max(1, Math.floor(expected.length / searchPictures))
  return expected.filter((_, index) => index % step === 0).slice(0, searchPictures)
}

async function measured(
  settings: Partial<Settings>,
  pictures: readonly Expected[],
  scorer: Scorer
): Promise<Difference> {
  const answers = []
  for (const { picture } of pictures) answers.push(await scorer.score({ path: picture, ...settings }))
  return differenceOf(pictures, answers)
}

function report(
  result: Result,
  { name, json, engine, tolerance }: CheckArguments & { engine: string },
  context: Context
): void {
  if (json) return print(context, JSON.stringify({ model: name, engine, tolerance, ...result }, null, 2))
  print(context, `${name} on ${engine}`)
  const { isEqual, difference, explanation } = result
  if (isEqual) return print(context, `Equal within ${amount(difference)}.`)
  if (explanation === undefined && isClose(difference))
    return print(context, `Nearly equal: within ${amount(difference)}.\n${nearly}`)
  print(context, `Different: by up to ${amount(difference)}.`)
  if (explanation === undefined) return print(context, unexplained)
  reportExplanation(explanation, context)
}

function reportExplanation(explanation: NonNullable<Result['explanation']>, context: Context): void {
  const { isEqual, difference, parts } = explanation
  const flags = flagsFor(explanation)
  const isWhole = isEqual || isClose(difference)
  print(context, `${isWhole ? 'Explained' : 'Explained in part'} by ${parts.join(', and ')}:`)
  for (const flag of flags) print(context, `  ${flag}`)
  print(
    context,
    `With that, ${isEqual ? 'equal' : isWhole ? 'nearly equal' : 'still different'}, by up to ${amount(difference)}.`
  )
  print(context, `Import the model again with --force ${flags.join(' ')}`)
}

const nearly =
  'No other channels, scale, mean, std, crop, kernel or activation comes nearer. What is left is how JPEG decoders ' +
  'and resamplers round, and color profiles in the pictures, which are applied here and ignored by most Python code; ' +
  '--tolerance sets what you accept.'

const unexplained =
  'No other channels, scale, mean, std, crop, kernel or activation explains it: check that the pictures and the ' +
  'weights are the same, that the answers are in the order of the labels, and that Python ran the model for ' +
  'inference (model.eval()).'

/** The largest difference of a probability, and what it means for the first label. */
function amount({ largest, sameFirst, pictures }: Difference): string {
  const value = largest === 0 ? '0' : largest.toPrecision(2)
  return `${value} on ${pictures} picture${pictures === 1 ? '' : 's'}, the first label the same on ${sameFirst} of ${pictures}`
}

const flagOf: Record<string, string> = {
  channels: '--channels',
  scale: '--scale',
  mean: '--mean',
  std: '--std',
  fit: '--fit',
  cropFraction: '--crop-fraction',
  kernel: '--kernel'
}

/** The flags of `model import` that make the model what it would have to be. */
function flagsFor({ settings, parts }: Explanation): string[] {
  return parts.flatMap(part =>
    part === 'activation'
      ? [`--activation ${settings.activation}`]
      : fieldsOf(part).map(
          field =>
            `${flagOf[field]} ${field === 'scale' ? formatScale(settings.input.scale) : String(settings.input[field])}`
        )
  )
}

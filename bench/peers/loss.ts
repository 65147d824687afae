import { figuresOf, listErrors } from '../figures.ts'
import { closedLoop } from '../load.ts'
import type { Section } from '../report.ts'
import type { Conditions } from '../serving.ts'
import { askAlone, isAnswerTo, type Prediction } from './answers.ts'
import { startOurs, startRecipe, type Contender, type ContenderName, type Ground } from './contenders.ts'

const clients = 32

/** Several times as long as the slowest answer of either takes with so many clients. */
const lostAfterMs = 30_000

interface Outcome {
  contender: ContenderName
  sent: number
  right: number
  wrong: number
  lost: number
  /** By code, those that were lost among them. */
  errors: Record<string, number>
  imagesPerSecond: number
}

/** Do two workers at saturation answer every request, and each with the answer to its own picture? */
export async function measureLoss(ground: Ground, conditions: Conditions): Promise<Section> {
  const theirs = await loseWithRecipe(ground, conditions)
  const ours = await loseWithOurs(ground, conditions)
  return {
    title: `Two workers, ${clients} clients; a request without an answer after ${lostAfterMs / 1_000} s is lost`,
    rows: [theirs.outcome, ours].map(rowOf),
    findings: [
      `The recipe loses ${theirs.outcome.lost} of ${theirs.outcome.sent} requests. Its Redis says the same in other words: ${theirs.uncollected} were put on the list and never answered, ${theirs.queued} of them still wait there.`,
      `Streamsight loses ${ours.lost} of ${ours.sent}, and answers ${ours.wrong} with what belongs to another picture.`
    ]
  }
}

async function loseWithRecipe(ground: Ground, conditions: Conditions) {
  conditions.progress.step('two workers: starting the recipe')
  const recipe = await startRecipe(ground)
  try {
    // With two workers even pictures that are asked for one after the other can be lost.
    const alone = await askAlone(recipe, conditions.uploads)
    await recipe.addWorker()
    return { outcome: await saturate(recipe, alone, conditions), ...(await recipe.ledger()) }
  } finally {
    await recipe.stop()
  }
}

async function loseWithOurs({ modelsDir }: Ground, conditions: Conditions) {
  conditions.progress.step('two workers: starting Streamsight')
  const system = await startOurs(modelsDir, 2)
  try {
    return await saturate(system, await askAlone(system, conditions.uploads), conditions)
  } finally {
    await system.stop()
  }
}

async function saturate(
  { name, url }: Contender,
  alone: Prediction[][],
  { uploads, plan, progress }: Conditions
): Promise<Outcome> {
  progress.step(`two workers: ${clients} clients, ${name}`)
  const load = await closedLoop({
    url,
    uploads,
    clients,
    durationMs: 2 * plan.forMs,
    lostAfterMs,
    isRight: isAnswerTo(alone)
  })
  const {
    ok,
    imagesPerSecond,
    errors: { WRONG: wrong = 0, ...errors }
  } = figuresOf(load)
  const lost = load.samples.filter(({ code }) => code.startsWith('LOST')).length
  return { contender: name, sent: load.samples.length, right: ok, wrong, lost, errors, imagesPerSecond }
}

/** Counts as text: they are exact. */
function rowOf({ contender, sent, right, wrong, lost, errors, imagesPerSecond }: Outcome): Section['rows'][number] {
  return {
    contender,
    sent: String(sent),
    right: String(right),
    wrong: String(wrong),
    lost: String(lost),
    errors: listErrors(errors),
    'images/s': imagesPerSecond
  }
}

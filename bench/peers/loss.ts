import { figuresOf } from '../figures.ts'
import { closedLoop } from '../load.ts'
import type { Section } from '../report.ts'
import type { Conditions } from '../serving.ts'
import { askAlone, isAnswerTo, type Prediction } from './answers.ts'
import { startOurs, startRecipe, type Contender, type Ground } from './contenders.ts'

const clients = 32

/** Several times as long as the slowest answer of either takes with so many clients. */
const lostAfterMs = 30_000

/** Do two workers at saturation answer every request, and each with the answer to its own picture? */
export async function measureLoss (ground: Ground, conditions: Conditions): Promise<Section> {
  const theirs = await loseWithRecipe(ground, conditions)
  const ours = await loseWithOurs(ground, conditions)
  return {
    title: `Two workers, ${clients} clients; a request without an answer after ${lostAfterMs / 1_000} s is lost`,
    rows: [theirs.row, ours],
    findings: [
      `The recipe loses ${theirs.row.lost} of ${theirs.row.sent} requests. Its Redis says the same in other words: ${theirs.uncollected} were put on the list and never answered, ${theirs.queued} of them still wait there.`,
      `Streamsight loses ${ours.lost} of ${ours.sent}, and answers ${ours.wrong} with what belongs to another picture.`
    ]
  }
}

async function loseWithRecipe (ground: Ground, conditions: Conditions) {
  conditions.progress.step('two workers: starting the recipe')
  const recipe = await startRecipe(ground)
  try {
    // With two workers even pictures that are asked for one after the other can be lost.
    const alone = await askAlone(recipe, conditions.uploads)
    await recipe.addWorker()
    return { row: await saturate(recipe, alone, conditions), ...await recipe.ledger() }
  } finally {
    await recipe.stop()
  }
}

async function loseWithOurs ({ modelsDir }: Ground, conditions: Conditions) {
  conditions.progress.step('two workers: starting Streamsight')
  const system = await startOurs(modelsDir, 2)
  try {
    return await saturate(system, await askAlone(system, conditions.uploads), conditions)
  } finally {
    await system.stop()
  }
}

async function saturate ({ name, url }: Contender, alone: Prediction[][], { uploads, plan, progress }: Conditions) {
  progress.step(`two workers: ${clients} clients, ${name}`)
  const { samples, durationMs } = await closedLoop({ url, uploads, clients, durationMs: 2 * plan.forMs, lostAfterMs, isRight: isAnswerTo(alone) })
  const { ok, imagesPerSecond, errors } = figuresOf({ samples, durationMs })
  const lost = samples.filter(({ code }) => code.startsWith('LOST')).length
  const wrong = errors['WRONG'] ?? 0
  return { contender: name, sent: samples.length, right: ok, wrong, lost, 'other errors': samples.length - ok - wrong - lost, 'images/s': imagesPerSecond }
}

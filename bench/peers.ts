import { join } from 'node:path'
import { say } from '../scripts/bootstrap.js'
import { listErrors } from './figures.ts'
import { closedLoop } from './load.ts'
import { askAlone, assertSameWork, tolerance } from './peers/answers.ts'
import { compare } from './peers/compare.ts'
import {
  startFastApi,
  startInProcess,
  startLitServe,
  startOurs,
  startRecipe,
  type Contender,
  type ContenderName,
  type Ground
} from './peers/contenders.ts'
import { measureLoss } from './peers/loss.ts'
import { createPrograms } from './peers/programs.ts'
import { ensurePython } from './peers/python.ts'
import { measureRounds, type Result } from './peers/rounds.ts'
import { resultsFolder, type Section } from './report.ts'
import { ensureResnet50Sized, resnet50Sized } from './resnet50-sized.ts'
import type { Conditions } from './serving.ts'

/** Libraries allocate, and TensorFlow compiles, for batch sizes that they see for the first time. */
const warmUp = { clients: 32, durationMs: 4_000 }

/** `interpreter` is left out where there is none. */
type Start = Omit<Ground, 'interpreter'> & Partial<Pick<Ground, 'interpreter'>>

/**
 * Streamsight beside what one could use instead, on the same model, pictures and threads, in turns. Where Python's packages can't
 * be had, only the contender without Python is left.
 */
export async function measurePeers(conditions: Conditions): Promise<Section[]> {
  const modelsDir = join(resultsFolder, 'models')
  ensureResnet50Sized(modelsDir)
  const python = await ensurePython()
  if ('missing' in python)
    say(
      `the recipe, FastAPI and LitServe are left out, because their Python packages can't be installed: ${python.missing}`
    )
  const programs = createPrograms()
  try {
    if ('missing' in python) return [await measureSideBySide({ programs, modelsDir }, conditions)]
    const ground = { programs, modelsDir, interpreter: python.interpreter }
    return [await measureSideBySide(ground, conditions), await measureLoss(ground, conditions)]
  } finally {
    programs.close()
  }
}

async function measureSideBySide(ground: Start, conditions: Conditions): Promise<Section> {
  const contenders: Contender[] = []
  try {
    for await (const contender of startAll(ground, conditions)) contenders.push(contender)
    const sameness = await checkAnswers(contenders, conditions)
    const results = await measureRounds(contenders, conditions)
    return {
      title: `${resnet50Sized}, side by side; medians of ${conditions.plan.peerRounds} round${conditions.plan.peerRounds === 1 ? '' : 's'}; milliseconds`,
      rows: results.map(rowOf),
      findings: [...compare(results), sameness, ...contenders.map(({ name, setup }) => `${name}: ${setup}.`)],
      points: results.map(({ name, imagesPerSecond, p50Ms, p99Ms }) => ({
        series: name,
        imagesPerSecond,
        p50Ms,
        p99Ms
      }))
    }
  } finally {
    await Promise.all(contenders.map(({ stop }) => stop()))
  }
}

/** One after the other, each warmed up and then halted. */
async function* startAll(ground: Start, { uploads, progress }: Conditions): AsyncGenerator<Contender> {
  for (const [name, start] of startsOf(ground)) {
    progress.step(`starting ${name}`)
    const contender = await start()
    yield contender
    progress.step(`warming up ${name}`)
    await closedLoop({ url: contender.url, uploads, ...warmUp })
    contender.halt()
  }
}

function startsOf({ interpreter, ...ground }: Start): Map<ContenderName, () => Promise<Contender>> {
  const starts = new Map<ContenderName, () => Promise<Contender>>()
  starts.set('Streamsight', () => startOurs(ground.modelsDir))
  starts.set('in-process', () => startInProcess(ground))
  if (interpreter === undefined) return starts
  starts.set('recipe', () => startRecipe({ ...ground, interpreter }))
  starts.set('FastAPI', () => startFastApi({ ...ground, interpreter }))
  return starts.set('LitServe', () => startLitServe({ ...ground, interpreter }))
}

/** All but the recipe, which has a model of its own, must do the same work. */
async function checkAnswers(contenders: Contender[], { uploads }: Conditions): Promise<string> {
  const [first, ...others] = contenders.filter(({ name }) => name !== 'recipe')
  if (first === undefined) throw new Error('no contender to check')
  const ours = await askAlone(first, uploads)
  const differences: string[] = []
  for (const contender of others) {
    contender.proceed()
    const difference = assertSameWork(contender.name, await askAlone(contender, uploads), ours)
    contender.halt()
    differences.push(`${contender.name} ${(100 * difference).toFixed(2)} %`)
  }
  return `Same top class for all ${uploads.length} pictures; its probability differs from Streamsight's by at most ${differences.join(', ')} (${100 * tolerance} % are allowed).`
}

function rowOf({ name, clients, imagesPerSecond, p50Ms, p99Ms, errors }: Result): Section['rows'][number] {
  return {
    contender: name,
    clients: String(clients),
    'images/s': imagesPerSecond,
    p50: p50Ms,
    p99: p99Ms,
    errors: listErrors(errors)
  }
}

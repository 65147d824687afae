/**
 * `npm run test:fuzz -- --count N --seed S`: mutated uploads through the real HTTP path, and a table of what came of them. Exits
 * with 1 if an answer was none of those that an image can have, took over 5 s, or a worker died. `--only I` repeats one of them.
 * `--bombs` instead: small files that would cost much, with honest clients beside them. Exits with 1 if a bound was broken that is
 * not a time; times are shown.
 */
import { execFileSync } from 'node:child_process'
import { parseArgs } from 'node:util'
import { dropBombs, maxGrowthMb } from './support/bombing.ts'
import { collectBombs } from './support/bombs.ts'
import { fuzz } from './support/fuzzing.ts'
import { collectSeeds } from './support/seeds.ts'
import { startSystem, type System } from './support/system.ts'

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '20000' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string' },
    bombs: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '2' },
    match: { type: 'string', default: '' },
    rows: { type: 'string', default: '12' }
  }
})
const seed = Number(values.seed)
const [from, to] =
  values.only === undefined ? [0, Number(values.count)] : [Number(values.only), Number(values.only) + 1]

/** No upload may keep anybody waiting for longer, on a machine that does nothing else. */
const slowMs = 5_000

/** Uploads before memory is measured for the first time: by then code is compiled and pools are as large as they get. */
const warmUpCount = 500

/** What a test context would do at its end. */
const teardown: Array<() => unknown> = []

try {
  process.exitCode = (await (values.bombs ? runBombs() : runMutants())) ? 0 : 1
} finally {
  for (const task of teardown.toReversed()) await task()
}

/** A whole system whose worker is started again when it dies. */
async function start(): Promise<System> {
  const after = (task: unknown) => {
    teardown.push(task as () => unknown)
  }
  return await startSystem({ after }, { restart: true })
}

/** Whether nothing was wrong. */
async function runBombs(): Promise<boolean> {
  const bombs = (await collectBombs()).filter(({ name }) => name.includes(values.match))
  const system = await start()
  const seeds = await collectSeeds()
  await fuzz(system, seeds, { seed, slowMs: Infinity, from: 0, to: warmUpCount })
  const onProgress = (name: string) => process.stderr.write(`\r\x1b[K${name}`)
  const report = await dropBombs(system, bombs, { rounds: Number(values.rounds), onProgress })
  const { alone, growthMb, quietP99Ms, p99Ms, largeP99Ms, deaths, offences } = report

  const answers: Record<string, number> = {}
  for (const { answer } of alone) answers[answer] = (answers[answer] ?? 0) + 1
  const slowest = alone.toSorted((a, b) => b.ms - a.ms).slice(0, Number(values.rows))
  const largest = alone.toSorted((a, b) => (b.growthMb ?? 0) - (a.growthMb ?? 0)).slice(0, Number(values.rows))
  console.log(`\n${bombs.length} bombs, each alone, then ${values.rounds} times all together`)
  console.table(answers)
  console.table(slowest)
  console.table(largest)
  console.table({
    'worker memory above before, MB': `${growthMb ?? 'not known here'} (at most ${maxGrowthMb})`,
    'honest p99, ms': `${quietP99Ms} quiet, ${p99Ms} beside the bombs, ${largeP99Ms} beside those of megabytes`,
    'worker deaths': deaths
  })
  for (const offence of new Set(offences)) console.log(offence)
  return offences.length === 0
}

/** Whether nothing was wrong. */
async function runMutants(): Promise<boolean> {
  const system = await start()
  const seeds = await collectSeeds()
  if (values.only === undefined) await fuzz(system, seeds, { seed, slowMs: Infinity, from: to, to: to + warmUpCount })
  const before = residentMb(system)
  const startedMs = performance.now()
  const report = await fuzz(system, seeds, { seed, slowMs, from, to, onProgress: showProgress })
  const restarts = system.workers.reduce((sum, { starts }) => sum + starts - 1, 0)
  const after = residentMb(system)

  console.log(
    `\nfuzz: ${to - from} mutants of ${seeds.length} pictures, seed ${seed}, ${Math.round((performance.now() - startedMs) / 1_000)} s`
  )
  console.table(report.answers)
  console.table({
    'slowest answer': `${Math.round(report.slowest.ms)} ms: mutant ${report.slowest.index}, ${report.slowest.origin}`,
    'worker restarts': restarts,
    'worker memory, MB': `${before.worker} before, ${after.worker} after`,
    'gateway memory, MB': `${before.gateway} before, ${after.gateway} after`
  })
  for (const { index, origin, what, file } of report.offences)
    console.log(`--seed ${seed} --only ${index} (${origin}): ${what}\n  ${file}`)
  return report.offences.length === 0 && restarts === 0
}

function showProgress(done: number): void {
  if (done % 100 === 0) process.stderr.write(`\r${done} of ${to - from} `)
}

/** Memory of ours that is in RAM. */
function residentMb({ workers, gateway }: System): { worker: number; gateway: number } {
  const mb = (pid: number) =>
    Math.round(Number(execFileSync('ps', ['-o', 'rss=', '-p', String(pid)], { encoding: 'utf8' })) / 1_024)
  return { worker: mb(workers[0]?.pid ?? 0), gateway: mb(gateway.pid) }
}

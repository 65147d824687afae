/**
 * `npm run test:fuzz-models -- --count N --seed S`: mutated model files through the import, with the trial run of those that get that
 * far. Exits with 1 if one was read outside of its folder, took over 10 s, ended in anything but one sentence, or if memory grew
 * beyond bounds. `--only I` repeats one of them.
 */
import { parseArgs } from 'node:util'
import { tryModel } from '../apps/cli/dist/trial.js'
import { collectModelSeeds, fuzzModels } from './support/fuzz-models.ts'

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '2000' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string' },
    'no-trial': { type: 'boolean', default: false }
  }
})
const [from, to] =
  values.only === undefined ? [0, Number(values.count)] : [Number(values.only), Number(values.only) + 1]
const seed = Number(values.seed)
const slowMs = 10_000
/** Libraries, compiled code and what the garbage collector has not yet returned. */
const maxRssMb = 1_500

const startedMs = performance.now()
const report = await fuzzModels(await collectModelSeeds(), {
  seed,
  from,
  to,
  slowMs,
  ...(values['no-trial'] ? {} : { trial: tryModel }),
  onProgress: done => {
    if (done % 20 === 0) process.stderr.write(`\r${done} of ${to - from} `)
  }
})
// ru_maxrss is in KiB on every system that Node runs on.
const peakMb = Math.round(process.resourceUsage().maxRSS / 1_024)
console.log(
  `\nfuzz-models: ${to - from} mutants, seed ${seed}, ${Math.round((performance.now() - startedMs) / 1_000)} s`
)
console.table(report.outcomes)
console.table({
  'slowest import': `${Math.round(report.slowest.ms)} ms: mutant ${report.slowest.index}, ${report.slowest.origin}`,
  'most memory, MB': peakMb
})
for (const { index, origin, what } of report.offences)
  console.log(`--seed ${seed} --only ${index} (${origin}): ${what}`)
process.exitCode = report.offences.length === 0 && peakMb < maxRssMb ? 0 : 1

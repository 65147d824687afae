import { figuresOf, median, type Figures } from '../figures.ts'
import { closedLoop } from '../load.ts'
import type { Conditions } from '../serving.ts'
import type { Contender, ContenderName } from './contenders.ts'

/** What a contender did with so many clients: medians of the rounds, and all errors of all rounds. */
export interface Result extends Pick<Figures, 'imagesPerSecond' | 'p50Ms' | 'p99Ms' | 'errors'> {
  name: ContenderName
  clients: number
}

/** Before each measurement: what was halted has been evicted from caches. */
const warmUp = { clients: 8, durationMs: 1_000 }

/** Every contender with every number of clients in every round. The order is reversed from one round to the next, and all but one are halted. */
export async function measureRounds(
  contenders: Contender[],
  { uploads, plan, progress }: Conditions
): Promise<Result[]> {
  const measured: Array<{ name: ContenderName; clients: number; figures: Figures }> = []
  for (let round = 1; round <= plan.peerRounds; round++) {
    for (const clients of plan.clients) {
      for (const { name, url, halt, proceed } of round % 2 === 1 ? contenders : contenders.toReversed()) {
        progress.step(`round ${round} of ${plan.peerRounds}, ${clients} client${clients === 1 ? '' : 's'}, ${name}`)
        proceed()
        await closedLoop({ url, uploads, ...warmUp })
        measured.push({
          name,
          clients,
          figures: figuresOf(await closedLoop({ url, uploads, clients, durationMs: plan.forMs }))
        })
        halt()
      }
    }
  }
  return plan.clients.flatMap(clients =>
    contenders.map(({ name }) =>
      summarize(
        name,
        clients,
        measured.filter(one => one.name === name && one.clients === clients).map(({ figures }) => figures)
      )
    )
  )
}

export function summarize(name: ContenderName, clients: number, rounds: Figures[]): Result {
  const medianOf = (field: 'imagesPerSecond' | 'p50Ms' | 'p99Ms') => median(rounds.map(figures => figures[field]))
  const errors: Record<string, number> = {}
  for (const figures of rounds)
    for (const [code, count] of Object.entries(figures.errors)) errors[code] = (errors[code] ?? 0) + count
  return {
    name,
    clients,
    imagesPerSecond: medianOf('imagesPerSecond'),
    p50Ms: medianOf('p50Ms'),
    p99Ms: medianOf('p99Ms'),
    errors
  }
}

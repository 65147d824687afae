import { availableParallelism } from 'node:os'
import { cpuUsage } from 'node:process'
import { DecodeError } from './decoder.ts'

/**
 * What an image may take to decode, in milliseconds of a core. The slowest honest one, an AVIF of 50 megapixels, took 2,700 on
 * two cores of 2020; with upload and model nobody then waits for more than 5 seconds on a machine that does nothing else.
 */
export const decodeBudgetMs = 4_000

/** Ten looks a second notice the end in time and cost nothing. */
const intervalMs = 100

const cores = availableParallelism()
let running = 0

/**
 * Does `work` unless it takes more than its budget, and rejects with a DecodeError then. Counted is not the time that passes but
 * what this process got of the cores in it, shared by the decodes that run: where others keep the cores busy, an honest picture
 * takes longer and is still no broken one. The signal ends work that can be ended.
 */
export async function withinBudget<T>(
  work: (signal: AbortSignal) => Promise<T>,
  budgetMs = decodeBudgetMs
): Promise<T> {
  const controller = new AbortController()
  let stop = () => {}
  const exhausted = new Promise<never>((_resolve, reject) => {
    stop = startMeter(budgetMs, () => {
      controller.abort()
      reject(
        new DecodeError(
          'UNDECODABLE_IMAGE',
          `The image takes longer to decode than the ${budgetMs / 1_000} s that are allowed`
        )
      )
    })
  })
  try {
    return await Promise.race([work(controller.signal), exhausted])
  } finally {
    stop()
  }
}

function startMeter(budgetMs: number, onExhausted: () => void): () => void {
  let last = clocks()
  let spentMs = 0
  running++
  const timer = setInterval(() => {
    const next = clocks()
    spentMs += Math.min(next.wallMs - last.wallMs, next.cpuMs - last.cpuMs) * Math.min(1, cores / running)
    last = next
    if (spentMs > budgetMs) onExhausted()
  }, intervalMs)
  return () => {
    clearInterval(timer)
    running--
  }
}

/** Time that passed, and what all threads of this process used of the cores. */
function clocks(): { wallMs: number; cpuMs: number } {
  const { user, system } = cpuUsage()
  return { wallMs: performance.now(), cpuMs: (user + system) / 1_000 }
}

import type { Connection } from './connection.ts'
import type { Clock } from './clock.ts'
import { limits } from './limits.ts'
import type { ModelKeys } from './names.ts'
import { claimNameScript, reportScript } from './scripts.ts'

export type WorkerState = 'warming' | 'ready' | 'draining'

/** What a worker says of itself, once a second. */
export interface WorkerReport {
  name: string
  pid: number
  /**
   * Where `pid` means something: process ids of another machine or container say nothing here. Earlier versions don't
   * say.
   */
  pidSpace?: string
  state: WorkerState
  model: {
    name: string
    version: string
    classes: number
    width: number
    height: number
    /** Digest of its description: see descriptions.ts. */
    about: string
  }
  engine: string
  /** Of the weights that run, and why: "int8: avx512_vnni found". */
  precision: string
  precisionReason: string
  /** Fitted at warm-up: a batch of n takes a + b·n milliseconds. */
  latency: { aMs: number; bMs: number }
  maxBatch: number
  /** Images a second it can do: measured where it was kept busy, else fitted. */
  ratePerSecond: number
  /** Jobs it holds now. */
  held: number
  /** Jobs finished since it started: the sign of progress. */
  finished: number
}

export interface SeenWorker extends WorkerReport {
  /** Milliseconds since it was last heard of, on Redis' clock. */
  silentMs: number
}

/** Who has a name, and when it was last heard of, as Redis puts it. */
export interface NameHolder extends Partial<Pick<WorkerReport, 'pid' | 'pidSpace'>> {
  seen: string
}

/** A worker's side of the registry. */
export function createRegistration(commands: Connection, keys: ModelKeys, clock: Clock) {
  return {
    /**
     * Takes the name in the report, from a holder that is `gone` too. Resolves to its holder where it is another's,
     * which may be a former life.
     */
    async claim(report: WorkerReport, gone?: NameHolder): Promise<NameHolder | undefined> {
      const [seen, holder] = (await commands.run(claimNameScript, {
        keys: [keys.workers, keys.seen],
        args: [report.name, JSON.stringify(report), String(clock.now()), gone?.seen ?? '']
      })) as [] | [string, string]
      if (seen === undefined) return undefined
      return { ...(holder === '' ? {} : (JSON.parse(holder ?? '{}') as WorkerReport)), seen }
    },

    async report(report: WorkerReport): Promise<void> {
      await commands.run(reportScript, {
        keys: [keys.workers, keys.seen],
        args: [report.name, JSON.stringify(report), String(clock.now())]
      })
    },

    async remove(name: string): Promise<void> {
      await Promise.all([commands.deleteField(keys.workers, name), commands.deleteMember(keys.seen, name)])
    },

    /** Forgets workers that were silent for `limits.workerForgottenMs`. */
    async prune(): Promise<void> {
      const gone = await commands.membersBelow(keys.seen, clock.now() - limits.workerForgottenMs)
      for (const name of gone) await this.remove(name)
    }
  }
}

export type Registration = ReturnType<typeof createRegistration>

/** All workers of a model that were ever seen and not forgotten. */
export async function readWorkers(commands: Connection, keys: ModelKeys): Promise<SeenWorker[]> {
  const [nowMs, reports, seen] = await Promise.all([
    commands.timeMs(),
    commands.hash(keys.workers),
    commands.scores(keys.seen)
  ])
  return seen.flatMap(({ value, score }) => {
    const report = readReport(reports[value])
    return report === undefined ? [] : [{ ...report, silentMs: Math.max(0, nowMs - score) }]
  })
}

/** Undefined for what is no report: who says nothing that can be read is not counted on, and takes no other with it. */
function readReport(text: string | undefined): WorkerReport | undefined {
  try {
    const report: unknown = JSON.parse(text ?? 'null')
    return isReport(report) ? report : undefined
  } catch {
    return undefined
  }
}

function isReport(value: unknown): value is WorkerReport {
  return typeof value === 'object' && value !== null && 'model' in value && 'state' in value
}

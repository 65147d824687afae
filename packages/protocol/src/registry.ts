import { run, within, type Connection } from './client.ts'
import type { Clock } from './clock.ts'
import { limits } from './limits.ts'
import type { ModelKeys } from './names.ts'
import { claimNameScript } from './scripts.ts'

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
  model: { name: string; version: string; classes: number; width: number; height: number }
  engine: string
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
      const [seen, holder] = (await run(commands, claimNameScript, {
        keys: [keys.workers, keys.seen],
        args: [report.name, JSON.stringify(report), String(clock.now()), gone?.seen ?? '']
      })) as [] | [string, string]
      if (seen === undefined) return undefined
      return { ...(holder === '' ? {} : (JSON.parse(holder ?? '{}') as WorkerReport)), seen }
    },

    async report(report: WorkerReport): Promise<void> {
      await within(
        limits.commandTimeoutMs,
        'report',
        Promise.all([
          commands.hSet(keys.workers, report.name, JSON.stringify(report)),
          commands.zAdd(keys.seen, { score: clock.now(), value: report.name })
        ])
      )
    },

    async remove(name: string): Promise<void> {
      await within(
        limits.commandTimeoutMs,
        'remove',
        Promise.all([commands.hDel(keys.workers, name), commands.zRem(keys.seen, name)])
      )
    },

    /** Forgets workers that were silent for `limits.workerForgottenMs`. */
    async prune(): Promise<void> {
      const gone = await within(
        limits.commandTimeoutMs,
        'prune',
        commands.zRangeByScore(keys.seen, '-inf', clock.now() - limits.workerForgottenMs)
      )
      for (const name of gone) await this.remove(name)
    }
  }
}

export type Registration = ReturnType<typeof createRegistration>

/** All workers of a model that were ever seen and not forgotten. */
export async function readWorkers(commands: Connection, keys: ModelKeys): Promise<SeenWorker[]> {
  const [time, reports, seen] = await within(
    limits.commandTimeoutMs,
    'readWorkers',
    Promise.all([
      commands.sendCommand<[string, string]>(['TIME']),
      commands.hGetAll(keys.workers),
      commands.zRangeWithScores(keys.seen, 0, -1)
    ])
  )
  const nowMs = Number(time[0]) * 1_000 + Number(time[1]) / 1_000
  return seen.flatMap(({ value, score }) => {
    const report = reports[value]
    return report === undefined
      ? []
      : [{ ...(JSON.parse(report) as WorkerReport), silentMs: Math.max(0, nowMs - score) }]
  })
}

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { root } from '../../scripts/bootstrap.js'
import { memoryEnv } from '../../scripts/supervisor.js'
import { until } from './until.ts'

/** One line of a pino log. */
export type LogLine = Record<string, unknown> & { event?: string; requestId?: string }

export interface ProcessOptions {
  /** Node arguments: the entry file, after flags if any. */
  args: string[]
  env: Record<string, string>
  /** Starts it again when it ends by itself, as `npm start` does. */
  restart?: boolean
}

/** A Node process of ours and what it logged. It ends with `stop`, or is killed with `kill` and may come back. */
export function startProcess({ args, env, restart = false }: ProcessOptions) {
  const lines: LogLine[] = []
  const noise: string[] = []
  let child = launch()
  let stopped = false
  let starts = 1

  return {
    lines,
    /** What it printed that was not a log line. */
    noise,
    get pid(): number {
      return child.pid ?? 0
    },
    get starts(): number {
      return starts
    },
    isRunning: (): boolean => child.exitCode === null && child.signalCode === null,

    /** The first line for which `matches` holds, from now or before. */
    untilLog: (what: string, matches: (line: LogLine) => boolean, timeoutMs?: number): Promise<LogLine> =>
      until(`${what}\n${noise.join('\n')}`, () => lines.find(matches), timeoutMs),

    signal: (signal: NodeJS.Signals): boolean => child.kill(signal),

    /** Ends it for good and waits for that; resolves with its exit code. */
    async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
      stopped = true
      if (child.exitCode !== null || child.signalCode !== null) return child.exitCode
      const exited = once(child, 'exit')
      child.kill('SIGCONT')
      child.kill(signal)
      await exited
      return child.exitCode
    },

    exited: async (): Promise<number | null> => {
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
      return child.exitCode
    }
  }

  function launch(): ChildProcess {
    const launched = spawn(process.execPath, args, {
      cwd: root,
      env: { PATH: process.env['PATH'] ?? '', ...memoryEnv, ...env },
      stdio: ['ignore', 'pipe', 'pipe']
    })
    if (launched.stdout) createInterface(launched.stdout).on('line', record)
    if (launched.stderr) createInterface(launched.stderr).on('line', line => noise.push(line))
    launched.once('exit', () => {
      if (!restart || stopped) return
      starts++
      child = launch()
    })
    return launched
  }

  function record(line: string): void {
    try {
      lines.push(JSON.parse(line) as LogLine)
    } catch {
      noise.push(line)
    }
  }
}

export type Process = ReturnType<typeof startProcess>

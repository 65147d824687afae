import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { root } from '../../scripts/bootstrap.js'
import { until } from '../../test/support/until.ts'

export interface ProgramOptions {
  name: string
  command: string
  args: string[]
  env: Record<string, string>
  /** Whether it can be used, given what it has printed. */
  isReady: (output: string) => boolean | Promise<boolean>
}

/** Loading TensorFlow takes ten seconds on an idle machine. */
const readyWithinMs = 180_000

/** How long a program may take to end by itself. */
const endsWithinMs = 10_000

/**
 * Starts programs in process groups of their own, so that what they start in turn is halted, continued and ended with them.
 * Whatever still runs when the bench ends, ends with it.
 */
export function createPrograms() {
  const logs = mkdtempSync(join(tmpdir(), 'streamsight-peers-'))
  const groups = new Set<number>()
  const killAll = () => {
    for (const group of groups) signal(group, 'SIGKILL')
  }
  const interrupt = () => process.exit(130)
  process.once('exit', killAll)
  // Or a group of its own would outlive Ctrl-C.
  process.once('SIGINT', interrupt)
  process.once('SIGTERM', interrupt)

  return {
    /** Resolves when the program is ready; rejects with the end of its output if it ended or did not become ready. */
    async start({ name, command, args, env, isReady }: ProgramOptions) {
      const log = join(logs, name)
      const file = openSync(log, 'w')
      const child = spawn(command, args, {
        cwd: root,
        env: { PATH: process.env['PATH'] ?? '', ...env },
        stdio: ['ignore', file, file],
        detached: true
      })
      closeSync(file)
      const group = child.pid ?? 0
      if (group > 0) groups.add(group)
      // Its exit code, or `error` if there is no such command, is what counts below.
      child.once('error', () => {})
      const output = () => readFileSync(log, 'utf8')
      const hasEnded = () => group === 0 || child.exitCode !== null || child.signalCode !== null

      await until(
        `${name} is ready`,
        async () => {
          if (hasEnded()) throw new Error(`${name} ended before it was ready:\n${output().slice(-2_000)}`)
          return await isReady(output())
        },
        readyWithinMs
      )

      return {
        /** Takes it off the CPU, with all its state. */
        halt: (): void => signal(group, 'SIGSTOP'),
        proceed: (): void => signal(group, 'SIGCONT'),
        async stop(): Promise<void> {
          signal(group, 'SIGCONT')
          signal(group, 'SIGTERM')
          if (!hasEnded()) await once(child, 'exit', { signal: AbortSignal.timeout(endsWithinMs) }).catch(() => {})
          // What it started may outlive it.
          signal(group, 'SIGKILL')
          groups.delete(group)
        }
      }
    },

    /** Ends what still runs, and forgets the logs. */
    close(): void {
      killAll()
      process.off('exit', killAll)
      process.off('SIGINT', interrupt)
      process.off('SIGTERM', interrupt)
      rmSync(logs, { recursive: true })
    }
  }
}

export type Programs = ReturnType<typeof createPrograms>
export type Program = Awaited<ReturnType<Programs['start']>>

/** To a whole process group, if there is still anything in it. */
function signal(group: number, name: NodeJS.Signals): void {
  try {
    process.kill(-group, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { TestContext } from 'node:test'
import { root } from '../../../packages/models/test/models.ts'
import { until } from '../../../test/support/until.ts'

export interface Started {
  /** All that it printed so far. */
  readonly output: string
  kill: (signal: NodeJS.Signals) => void
  untilPrinted: (pattern: RegExp) => Promise<unknown>
  ended: () => Promise<{ code: number | null; output: string; complaint: string }>
}

/** The real command in a process of its own, ended with the test. `env` is all of its environment but PATH. */
export function startCommand(t: Pick<TestContext, 'after'>, args: string[], env: Record<string, string> = {}): Started {
  const child = spawn(process.execPath, ['apps/cli/dist/main.js', 'model', ...args], {
    cwd: root,
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  t.after(() => child.kill('SIGKILL'))
  const closed = once(child, 'close')
  let [output, complaint] = ['', '']
  child.stdout.on('data', chunk => {
    output += chunk
  })
  child.stderr.on('data', chunk => {
    complaint += chunk
  })

  return {
    get output() {
      return output
    },
    kill: signal => child.kill(signal),
    untilPrinted: pattern => until(`it prints ${pattern}\n${complaint}`, () => pattern.test(output)),
    async ended() {
      await closed
      return { code: child.exitCode, output, complaint }
    }
  }
}

export async function runCommand(t: Pick<TestContext, 'after'>, args: string[], env?: Record<string, string>) {
  return await startCommand(t, args, env).ended()
}

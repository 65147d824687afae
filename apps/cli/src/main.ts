import { resolve } from 'node:path'
import { CommanderError } from 'commander'
import { createProgram } from './program.ts'

/** By convention 128 and the signal's number. */
const exitCodeOfSignal = { SIGINT: 130, SIGTERM: 143 } as const

async function main(): Promise<void> {
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    // Once: a second Ctrl-C ends the process at once.
    process.once(signal, () => {
      process.exitCode = exitCodeOfSignal[signal]
      stop.abort(new Error(`stopped by ${signal}`))
    })
  }
  const context = {
    output: process.stdout,
    input: process.stdin,
    // npm runs scripts in the root folder, and says where it was started.
    resolve: (path: string) => resolve(process.env['INIT_CWD'] ?? '.', path),
    env: process.env,
    signal: stop.signal
  }
  try {
    await createProgram(context, code => {
      process.exitCode = code
    }).parseAsync(withHelp(process.argv.slice(2)), { from: 'user' })
  } catch (error) {
    if (!stop.signal.aborted) process.exitCode = report(error)
  }
}

/** Without a command there is nothing to do but to show which there are. */
function withHelp(args: string[]): string[] {
  return args.length === 0 || (args.length === 1 && args[0] === 'model') ? [...args, '--help'] : args
}

function report(error: unknown): number {
  // commander has said what is wrong, or shown the help that was asked for.
  if (error instanceof CommanderError) return error.exitCode
  const { code, message, stack } = error as { code?: string; message: string; stack?: string }
  // A fault of ours needs the stack; what the person can put right doesn't.
  console.error(`streamsight: ${code === 'MODEL' || code === 'DOWNLOAD' ? message : (stack ?? message)}`)
  return 1
}

await main()

import type { Output } from './progress.ts'

/** What a command knows of the process it runs in. */
export interface Context {
  /** Where answers and progress go. */
  output: Output
  /** Where a person answers questions; none where nobody can. */
  input?: NodeJS.ReadStream
  /** Relative paths that a person typed are meant from here. */
  resolve: (path: string) => string
  env: Record<string, string | undefined>
  /** Aborted when the person at the terminal stops the command. */
  signal: AbortSignal
}

/** The process's exit code. */
export type ExitCode = 0 | 1

export function print({ output }: Pick<Context, 'output'>, line: string): void {
  output.write(line + '\n')
}

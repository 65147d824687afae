import { kill, pid } from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { pino, type Logger } from 'pino'
import { prettyFactory } from 'pino-pretty'
import { createLineWriter } from './line-writer.ts'

export const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]

/** What no line may show: a field with such a name, credentials in an address (of limited length, because clients can bring in any text), in a header. */
const secrets: Array<[pattern: RegExp, instead: string]> = [
  [/((?:authorization|cookie|password|secret|token|api_?keys?|url)":)"(?:[^"\\]|\\.)*"/gi, '$1"(hidden)"'],
  [/\/\/(?:[^\s"/@:]{0,99}:[^\s"@]{0,999}|[^\s"/@]{1,99})@/g, '//(hidden)@'],
  [/\b(Bearer|Basic) +[^\s"\\]+/g, '$1 (hidden)']
]

/** What is written at the end of a process takes no time where somebody reads it. */
const stuckMs = 1_000

const forPeople = { ignore: 'pid,hostname', translateTime: 'HH:MM:ss.l', singleLine: true, colorize: true }

/** JSON, one line an event, to standard output; readable by people only on a terminal. Secrets are cut out wherever they turn up. */
export function createLogger({ name, level, pretty }: { name: string; level: LogLevel; pretty: boolean }): Logger {
  const writer = createLineWriter({
    fd: 1,
    onRecovered: lost =>
      log.warn({ event: 'log-lost', ...lost }, `${lost.lines} lines of this log could not be written: ${lost.reason}`)
  })
  const format = pretty ? prettyFactory({ ...forPeople }) : asIs
  // pino calls `flushSync` after a fatal line, which may be the process' last.
  const stream = { ...writer, write: (line: string) => writer.write(format(line)) }
  const log = pino(
    {
      name,
      level,
      // The finished line, because pino's own redaction looks at fields of a known depth, and never into the text of
      // an error.
      hooks: {
        streamWrite: line => secrets.reduce((text, [pattern, instead]) => text.replace(pattern, instead), line)
      }
    },
    stream
  )
  return log
}

/**
 * Waits until the log is written as far as that is possible. Where its reader has stopped reading without leaving,
 * `process.exit` would wait for it in native code: then the process is ended by force.
 */
export async function endLog(log: Logger): Promise<void> {
  const written = await Promise.race([
    new Promise<true>(resolve => log.flush(() => resolve(true))),
    sleep(stuckMs, false, { ref: false })
  ])
  if (!written) kill(pid, 'SIGKILL')
}

function asIs(line: string): string {
  return line
}

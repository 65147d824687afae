import { destination, pino, type Logger } from 'pino'

export const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]

/** What no line may show: a field with such a name, credentials in an address (of limited length, because clients can bring in any text), in a header. */
const secrets: Array<[pattern: RegExp, instead: string]> = [
  [/((?:authorization|cookie|password|secret|token|api_?keys?|url)":)"(?:[^"\\]|\\.)*"/gi, '$1"(hidden)"'],
  [/\/\/(?:[^\s"/@:]{0,99}:[^\s"@]{0,999}|[^\s"/@]{1,99})@/g, '//(hidden)@'],
  [/\b(Bearer|Basic) +[^\s"\\]+/g, '$1 (hidden)']
]

/**
 * Lines are written together, at the latest after this time and at the end of the process: a write for each took a tenth of what gateway
 * and worker do for a picture. A process that is killed by force loses the last of them.
 */
const gathered = { dest: 1, sync: false, minLength: 4_096, periodicFlush: 50 }

/** JSON, one line an event, to standard output; readable by people only on a terminal. Secrets are cut out wherever they turn up. */
export function createLogger({ name, level, pretty }: { name: string; level: LogLevel; pretty: boolean }): Logger {
  const options = {
    name,
    level,
    // The finished line, because pino's own redaction looks at fields of a known depth, and never into the text of an error.
    hooks: {
      streamWrite: (line: string) => secrets.reduce((text, [pattern, instead]) => text.replace(pattern, instead), line)
    }
  }
  if (!pretty) return pino(options, destination(gathered))
  return pino({
    ...options,
    transport: {
      target: 'pino-pretty',
      options: { ignore: 'pid,hostname', translateTime: 'HH:MM:ss.l', singleLine: true }
    }
  })
}

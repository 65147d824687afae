import { pino, type Logger } from 'pino'

export const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const
export type LogLevel = typeof logLevels[number]

/** JSON, one line an event, to standard output; readable by people only on a terminal. Secrets are cut out wherever they turn up. */
export function createLogger ({ name, level, pretty }: { name: string, level: LogLevel, pretty: boolean }): Logger {
  return pino({
    name,
    level,
    redact: { paths: ['*.authorization', '*.password', '*.url', 'headers.authorization', 'req.headers.authorization', 'redisUrl'], censor: '(hidden)' },
    ...(pretty ? { transport: { target: 'pino-pretty', options: { ignore: 'pid,hostname', translateTime: 'HH:MM:ss.l' } } } : {})
  })
}

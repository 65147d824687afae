export * from './config.ts'
export * from './event-loop.ts'
export * from './log.ts'
export type { Logger } from 'pino'

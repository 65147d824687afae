import { ErrorReply } from 'redis'

/** What an error that came out of a Redis command means. Redis puts the kind into the first word of its message; there is no code. */
export type ReplyError = 'NOSCRIPT' | 'NOGROUP' | 'BUSYGROUP' | 'OOM' | 'UNBLOCKED'

/** There is no connection to Redis, or it ended before the reply came: nobody knows whether the command was executed. */
export class AwayError extends Error {
  readonly code = 'REDIS_AWAY'
}

/**
 * Replies that pass by themselves: a slow script, a restart, a failover, a failed save, a lack of memory, a stream that is
 * being made again. Everything else is a refusal that repeating does not change.
 */
const passing =
  /^(BUSY|LOADING|MASTERDOWN|MISCONF|READONLY|OOM|TRYAGAIN|CLUSTERDOWN|MOVED|ASK|NOREPLICAS|NOSCRIPT|NOGROUP|UNBLOCKED|UNKILLABLE)\b/

export function isReply(error: unknown, kind: ReplyError): boolean {
  return error instanceof Error && error.message.startsWith(kind)
}

/** True if Redis refused a write for want of memory, directly or within a script. */
export function isOutOfMemory(error: unknown): boolean {
  return error instanceof Error && /^OOM |OOM command not allowed/.test(error.message)
}

/**
 * True if the same command may succeed later without anybody's doing. False for NOPERM, WRONGTYPE, an unknown command, and
 * for a bug of ours: who gets one of these must not try again.
 */
export function isPassing(error: unknown): boolean {
  return error instanceof AwayError || isOutOfMemory(error) || (error instanceof Error && passing.test(error.message))
}

/** True if Redis itself said no, and not a bug of ours. */
export function isRefusal(error: unknown): boolean {
  return error instanceof ErrorReply
}

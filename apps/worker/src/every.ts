import { AwayError } from '@streamsight/protocol'
import type { Logger } from '@streamsight/service'

export interface Repeated {
  /** As in "could not …". */
  what: string
  task: () => Promise<void>
  log: Logger
}

/**
 * Does `task` again and again with `ms` between, until the returned function is called. What fails is tried the next time; a log
 * line says when that begins, and one when it is over. That Redis is away is told by its connection.
 */
export function every(ms: number, { what, task, log }: Repeated): () => void {
  let timer = setTimeout(tick, ms)
  let stopped = false
  let failing = false
  return () => {
    stopped = true
    clearTimeout(timer)
  }

  async function tick(): Promise<void> {
    try {
      await task()
      if (failing) log.info({ event: 'repeated-passed', what }, `It is possible again to ${what}`)
      failing = false
    } catch (error) {
      if (!failing && !(error instanceof AwayError)) {
        log.warn({ event: 'repeated-failed', what, err: error }, `Could not ${what}; trying again`)
        failing = true
      }
    }
    if (!stopped) timer = setTimeout(tick, ms)
  }
}

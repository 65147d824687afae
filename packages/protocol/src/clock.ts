import type { Connection } from './connection.ts'

/** Redis' clock, estimated here, so that ages do not depend on how well this machine's clock is set. */
export interface Clock {
  /** Milliseconds since 1970 as Redis would say now. */
  now: () => number
  /** Asks Redis again. */
  sync: () => Promise<void>
}

/** A clock that measures its own offset; `monotonicMs` never jumps, unlike Date.now(). Call `sync` before the first `now`. */
export function createClock(
  commands: Pick<Connection, 'timeMs'>,
  monotonicMs: () => number = () => performance.now()
): Clock {
  let offsetMs = Date.now() - monotonicMs()

  return {
    now: () => monotonicMs() + offsetMs,

    async sync() {
      const asked = monotonicMs()
      const toldMs = await commands.timeMs()
      // Redis read its clock somewhere between question and answer; halfway is wrong by half a round trip at most.
      offsetMs = toldMs - (asked + monotonicMs()) / 2
    }
  }
}

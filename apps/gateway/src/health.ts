import type { Broker } from './broker.ts'
import type { Fleet } from './fleet.ts'

export interface Health { ok: boolean, reasons: string[] }

/** The three questions an orchestrator asks, each answered with reasons that a person can act on. */
export function createHealth ({ broker, fleet, isClosing }: { broker: Broker, fleet: Fleet, isClosing: () => boolean }) {
  let started = false

  return {
    /** Would a restart help? Only if a Redis connection gave up for good. */
    live: (): Health => verdict(broker.isOpen() ? [] : ['a Redis connection was closed for good']),

    /** Should requests be sent here? */
    ready (): Health {
      const reasons: string[] = []
      if (isClosing()) reasons.push('shutting down')
      if (broker.awayMs() > 0) reasons.push(`Redis has been away for ${Math.ceil(broker.awayMs() / 1_000)} s`)
      if (!fleet.isStaffed()) reasons.push('no warm worker was seen lately')
      if (fleet.isStalled()) reasons.push(`${fleet.depth} jobs are waiting and no worker makes progress`)
      if (reasons.length === 0) started = true
      return verdict(reasons)
    },

    /** Has it been ready once? */
    startup (): Health {
      const { ok, reasons } = this.ready()
      return verdict(ok || started ? [] : reasons)
    }
  }
}

function verdict (reasons: string[]): Health {
  return { ok: reasons.length === 0, reasons }
}

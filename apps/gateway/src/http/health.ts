import type { Broker } from '../requests/broker.ts'
import type { Fleet, Fleets } from '../requests/fleet.ts'

export interface Health {
  ok: boolean
  reasons: string[]
}

/** The three questions an orchestrator asks, each answered with reasons that a person can act on. */
export function createHealth({
  broker,
  fleets,
  isClosing
}: {
  broker: Broker
  fleets: Fleets
  isClosing: () => boolean
}) {
  const started = new Set<string>()

  return {
    /** Would a restart help? Connections to Redis never give up, so that whoever can answer this is alive. */
    live: (): Health => verdict([]),

    /** Should requests be sent here? Yes as long as one model can be asked; the reasons say which can't. */
    ready(): Health {
      const faults = faultsOfModels()
      const reasons = [...faultsOfGateway(), ...faults.flatMap(({ reasons }) => reasons)]
      return { ok: faultsOfGateway().length === 0 && faults.some(({ reasons }) => reasons.length === 0), reasons }
    },

    /** Has every model been ready once? */
    startup(): Health {
      if (faultsOfGateway().length === 0) {
        for (const { model, reasons } of faultsOfModels()) if (reasons.length === 0) started.add(model)
      }
      return verdict(started.size === fleets.size ? [] : this.ready().reasons)
    }
  }

  function faultsOfGateway(): string[] {
    const reasons: string[] = []
    if (isClosing()) reasons.push('shutting down')
    if (broker.awayMs() > 0) reasons.push(`Redis has been away for ${Math.ceil(broker.awayMs() / 1_000)} s`)
    if (broker.isOutOfMemory()) reasons.push('Redis is out of memory (maxmemory) and refuses images')
    return reasons
  }

  function faultsOfModels(): Array<{ model: string; reasons: string[] }> {
    return [...fleets].map(([model, fleet]) => ({ model, reasons: faultsOf(model, fleet) }))
  }
}

function faultsOf(model: string, fleet: Fleet): string[] {
  const reasons: string[] = []
  if (!fleet.isStaffed()) reasons.push(`no warm worker of model ${model} was seen lately`)
  if (fleet.isStalled()) reasons.push(`${fleet.depth} jobs for model ${model} are waiting and no worker makes progress`)
  return reasons
}

function verdict(reasons: string[]): Health {
  return { ok: reasons.length === 0, reasons }
}

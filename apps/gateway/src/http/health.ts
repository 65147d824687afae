import type { FastifyInstance, FastifyReply } from 'fastify'
import type { Gateway } from '../gateway.ts'
import type { Fleet } from '../requests/fleet.ts'

export interface Health {
  ok: boolean
  reasons: string[]
}

/** The parts of a gateway that its health depends on. */
type Vitals = Pick<Gateway, 'broker' | 'fleets'> & { shutdown: Pick<Gateway['shutdown'], 'isLeaving'> }

export async function healthRoutes(app: FastifyInstance, gateway: Vitals): Promise<void> {
  const health = createHealth(gateway)
  app.get('/health/live', { schema: { summary: 'Red when a restart would help' } }, async (_request, reply) =>
    answer(reply, health.live())
  )
  app.get('/health/ready', { schema: { summary: 'Red when requests should go elsewhere' } }, async (_request, reply) =>
    answer(reply, health.ready())
  )
  app.get('/health/startup', { schema: { summary: 'Red until it has been ready once' } }, async (_request, reply) =>
    answer(reply, health.startup())
  )
}

function answer(reply: FastifyReply, { ok, reasons }: Health) {
  return reply.code(ok ? 200 : 503).send({ status: ok ? 'ok' : 'unavailable', reasons })
}

/** The three questions an orchestrator asks, each answered with reasons that a person can act on. */
export function createHealth({ broker, fleets, shutdown }: Vitals) {
  const started = new Set<string>()

  return {
    /** Would a restart help? Connections to Redis never give up, so that whoever can answer this is alive. */
    live: (): Health => verdict([]),

    /** Should requests be sent here? Yes as long as one model can be asked; the reasons say which can't. */
    ready(): Health {
      const faults = faultsOfModels()
      const reasons = [...faultsOfGateway(), ...notices(), ...faults.flatMap(({ reasons }) => reasons)]
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
    if (shutdown.isLeaving()) reasons.push('shutting down')
    if (broker.awayMs() > 0) reasons.push(`Redis has been away for ${Math.ceil(broker.awayMs() / 1_000)} s`)
    return [...reasons, ...broker.refusals()]
  }

  /** No reason to send requests elsewhere: every gateway of this Redis refuses, with OVERLOADED, until workers have made room. */
  function notices(): string[] {
    return broker.isOutOfMemory() ? ['Redis is out of memory (maxmemory) and refuses images'] : []
  }

  function faultsOfModels(): Array<{ model: string; reasons: string[] }> {
    return [...fleets].map(([model, fleet]) => ({ model, reasons: faultsOf(model, fleet) }))
  }
}

function faultsOf(model: string, fleet: Fleet): string[] {
  const reasons: string[] = []
  const refusal = fleet.refusal()
  if (refusal !== undefined) reasons.push(`what happens to model ${model} can't be seen: ${refusal.message}`)
  else if (!fleet.isStaffed()) reasons.push(`no warm worker of model ${model} was seen lately`)
  if (fleet.isStalled()) reasons.push(`${fleet.depth} jobs for model ${model} are waiting and no worker makes progress`)
  return reasons
}

function verdict(reasons: string[]): Health {
  return { ok: reasons.length === 0, reasons }
}

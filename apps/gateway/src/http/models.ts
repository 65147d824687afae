import type { FastifyInstance } from 'fastify'
import type { SeenWorker } from '@streamsight/protocol'
import type { Gateway } from '../gateway.ts'

export interface ServedModel {
  name: string
  version: string
  classes: number
  input: { width: number; height: number }
  engines: string[]
  workers: number
}

export async function modelRoutes(app: FastifyInstance, { fleets }: Pick<Gateway, 'fleets'>): Promise<void> {
  app.get('/models', { schema: { summary: 'What is served, and by how many workers' } }, async () => ({
    models: servedModels([...fleets.values()].flatMap(fleet => fleet.ready()))
  }))
}

/** What the ready workers serve, one entry for each version: during a roll-out there are two. */
export function servedModels(workers: SeenWorker[]): ServedModel[] {
  const served = new Map<string, ServedModel>()
  for (const {
    model: { name, version, classes, width, height },
    engine
  } of workers) {
    const entry = served.get(`${name} ${version}`) ?? {
      name,
      version,
      classes,
      input: { width, height },
      engines: [],
      workers: 0
    }
    entry.workers++
    if (!entry.engines.includes(engine)) entry.engines.push(engine)
    served.set(`${name} ${version}`, entry)
  }
  return [...served.values()]
}

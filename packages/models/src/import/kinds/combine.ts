import type { Facts, Inspected } from '../inspected.ts'
import type { Companion } from './companion.ts'

/**
 * What a graph and the files beside it say together. The graph knows best what it takes and does itself; labels are told best by
 * files, which a person can change. Where both speak of the size and differ, a note says so.
 */
export function withCompanion(inspected: Inspected, { facts: beside, layout, notes = [] }: Companion): Inspected {
  const { artifacts, facts } = inspected
  return {
    artifacts: artifacts.map(artifact => ({ ...artifact, layout: artifact.layout ?? layout })),
    facts: combine(facts, beside),
    notes: [...inspected.notes, ...notes, ...conflicts(facts, beside)]
  }
}

function combine(graph: Facts, beside: Facts): Facts {
  const known = Object.fromEntries(Object.entries(graph).filter(([, value]) => value !== undefined))
  return { ...beside, ...known, labels: beside.labels ?? graph.labels, usual: beside.usual ?? graph.usual }
}

function conflicts({ size: own }: Facts, { size: said }: Facts): string[] {
  if (own === undefined || said === undefined) return []
  const [a, b] = [own.value, said.value]
  if (a.width === b.width && a.height === b.height) return []
  return [
    `${said.from} says pictures of ${b.width}x${b.height}, but the graph takes ${a.width}x${a.height}: that counts`
  ]
}

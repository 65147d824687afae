import type { Facts, Inspected } from '../inspected.ts'
import type { Companion } from './companion.ts'

const graphKnowsBetter = ['size', 'classes', 'activation', 'output'] as const

/**
 * What the graph and the files beside it say together. Sizes and the activation are the graph's to tell; how pixels are prepared,
 * and labels, are told by the files beside it. Where both speak of the size and differ, a note says so.
 */
export function withCompanion(inspected: Inspected, companion: Companion): Inspected {
  const { artifacts, facts, notes } = inspected
  return {
    artifacts: artifacts.map(artifact => ({ ...artifact, layout: artifact.layout ?? companion.layout })),
    facts: combineFacts(facts, companion.facts),
    notes: [...notes, ...(companion.notes ?? []), ...conflicts(facts, companion.facts)]
  }
}

export function combineFacts(graph: Facts, beside: Facts): Facts {
  const fromGraph = graphKnowsBetter.map(name => [name, graph[name] ?? beside[name]] as const)
  return { ...graph, ...beside, ...Object.fromEntries(fromGraph.filter(([, known]) => known !== undefined)) }
}

function conflicts({ size: own }: Facts, { size: said }: Facts): string[] {
  if (own === undefined || said === undefined) return []
  const [a, b] = [own.value, said.value]
  if (a.width === b.width && a.height === b.height) return []
  return [
    `${said.from} says pictures of ${b.width}x${b.height}, but the graph takes ${a.width}x${a.height}: that counts`
  ]
}

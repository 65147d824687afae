import { ModelError } from '../store/error.ts'
import { applyStep, createFront, type ArithmeticOp, type Front } from './front.ts'

/** A node of a TensorFlow graph; control edges among its inputs begin with `^`. */
export interface GraphNode {
  name: string
  op: string
  input?: string[]
}
/** The values of a graph's small constants, by the names of their nodes. */
export type Constants = ReadonlyMap<string, readonly number[]>

/** What a node gives: probabilities that add up to `mass` over the classes, or other scores. */
export type GraphEnd = { kind: 'softmax'; mass: number } | { kind: 'logits' | 'sigmoid' }

/** These leave scores as they are. */
const passOn = new Set(['Identity', 'Reshape', 'Squeeze', 'Cast', 'StopGradient'])
const logits = new Set(['MatMul', '_FusedMatMul', 'BiasAdd', 'Conv2D', '_FusedConv2D', 'LogSoftmax'])
const sums = new Set(['Add', 'AddV2', 'AddN'])

/** A node's name without the number of its output and the mark of a control edge. */
export function bare(name: string): string {
  return name.replace(/^\^/, '').replace(/:\d+$/, '')
}

/** Throws a ModelError for a graph that never ends; no engine runs one. */
export function assertNoCircle(nodes: readonly GraphNode[], path: string): void {
  const open = new Map(nodes.map(({ name, input = [] }) => [name, new Set(input.map(bare))]))
  const readers = new Map<string, string[]>()
  for (const [name, inputs] of open)
    for (const input of inputs) readers.set(input, [...(readers.get(input) ?? []), name])
  const ready = [...open].filter(([, inputs]) => inputs.size === 0).map(([name]) => name)
  const done = new Set<string>()
  for (let name = ready.pop(); name !== undefined; name = ready.pop()) {
    done.add(name)
    for (const reader of readers.get(name) ?? []) {
      const waiting = open.get(reader)
      waiting?.delete(name)
      if (waiting?.size === 0) ready.push(reader)
    }
  }
  const stuck = nodes.find(({ name }) => !done.has(name))
  if (stuck !== undefined)
    throw new ModelError(`${path}: its node "${stuck.name}" depends on itself, or on one that is not there`)
}

/** What the node of that name gives, found backwards; undefined where nobody can tell. The graph has no circle. */
export function createEnds(nodes: readonly GraphNode[], constants: Constants) {
  const byName = new Map(nodes.map(node => [node.name, node]))
  const known = new Map<string, GraphEnd | undefined>()
  return endOf

  function endOf(name: string): GraphEnd | undefined {
    if (!known.has(name)) known.set(name, compute(byName.get(name)))
    return known.get(name)
  }

  function compute(node: GraphNode | undefined): GraphEnd | undefined {
    const inputs = (node?.input ?? []).filter(name => !name.startsWith('^')).map(bare)
    const [first = '', second = ''] = inputs
    if (node === undefined) return undefined
    if (passOn.has(node.op)) return endOf(first)
    if (node.op === 'Softmax') return { kind: 'softmax', mass: 1 }
    if (node.op === 'Sigmoid') return { kind: 'sigmoid' }
    if (logits.has(node.op)) return { kind: 'logits' }
    if (sums.has(node.op)) return added(inputs)
    if (node.op === 'Mean') return averaged(first)
    if (node.op === 'Mul') return scaled(first, constants.get(second), 1) ?? scaled(second, constants.get(first), 1)
    return node.op === 'RealDiv' ? scaled(first, constants.get(second), -1) : undefined
  }

  /** A bias is a constant; of scores that differ in kind nobody can tell what the sum is. */
  function added(inputs: readonly string[]): GraphEnd | undefined {
    const ends = inputs.filter(name => !constants.has(name)).map(endOf)
    const masses = ends.flatMap(end => (end?.kind === 'softmax' ? [end.mass] : []))
    if (masses.length === 0) return ends.every(end => end?.kind === 'logits') ? { kind: 'logits' } : undefined
    const isPure = masses.length === ends.length && ends.length === inputs.length
    return isPure ? { kind: 'softmax', mass: masses.reduce((sum, mass) => sum + mass) } : undefined
  }

  /** Of a stack of softmaxes, or of an image's features. */
  function averaged(name: string): GraphEnd | undefined {
    const node = byName.get(name)
    if (node?.op !== 'Pack') return endOf(name) ?? { kind: 'logits' }
    const ends = (node.input ?? []).map(bare).map(endOf)
    const [first] = ends
    return ends.every(end => JSON.stringify(end) === JSON.stringify(first)) ? first : undefined
  }

  function scaled(name: string, factor: readonly number[] | undefined, power: 1 | -1): GraphEnd | undefined {
    const end = factor === undefined ? undefined : endOf(name)
    const [value = 1] = factor ?? []
    if (end === undefined || factor?.some(other => other !== value) === true) return undefined
    return end.kind === 'softmax'
      ? { ...end, mass: end.mass * value ** power }
      : end.kind === 'logits'
        ? end
        : undefined
  }
}

const arithmetic: Record<string, ArithmeticOp> = {
  Mul: 'Mul',
  RealDiv: 'Div',
  Sub: 'Sub',
  Add: 'Add',
  AddV2: 'Add',
  BiasAdd: 'Add'
}

/** The arithmetic with constants right after the picture. */
export function readGraphFront(nodes: readonly GraphNode[], constants: Constants, placeholder: string): Front {
  const front = createFront()
  for (let next = onlyReader(placeholder); next !== undefined; next = onlyReader(next.name)) {
    const values = (next.input ?? []).map(name => constants.get(bare(name))).find(found => found !== undefined)
    const op = arithmetic[next.op]
    if (op !== undefined && values !== undefined) {
      applyStep(front, op, values)
      front.ops.push(`"${next.name}"`)
    } else if (!passOn.has(next.op)) break
  }
  return front

  function onlyReader(name: string): GraphNode | undefined {
    const readers = nodes.filter(({ input = [] }) => input.some(other => bare(other) === name))
    return readers.length === 1 ? readers[0] : undefined
  }
}

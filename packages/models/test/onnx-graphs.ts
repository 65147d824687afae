import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { createOnnxGraph, type ElementType, type Value } from '../../../apps/worker/test/support/onnx.ts'
import type { ImportOptions, Imported } from '../src/import/import.ts'
import { bench } from './imports.ts'

export const side = 16
type Graph = ReturnType<typeof createOnnxGraph>

/** What follows a picture up to its scores; answers the name of the tensor with the scores. */
export type Body = (graph: Graph, picture: string) => string

export interface Described {
  type?: ElementType
  input?: Array<number | string>
  outputs?: Value[]
}

export const float = (graph: Graph, values: number[], dims = [values.length]): string =>
  graph.weight('float32', dims, Float32Array.from(values))

/** Logits of three classes: each is the mean of one colour. */
export const meanColours: Body = (graph, picture) => {
  const pooled = graph.node('Flatten', [graph.node('GlobalAveragePool', [picture])])
  return graph.node('MatMul', [pooled, float(graph, [1, 0, 0, 0, 1, 0, 0, 0, 1], [3, 3])])
}

/** A model of three classes, with what `body` computes as its output. */
export function onnxBytes(body: Body, { type = 'float32', input, outputs }: Described = {}): Uint8Array {
  const graph = createOnnxGraph()
  const scores = body(graph, 'picture')
  graph.node('Identity', [scores], {}, 'scores')
  return graph.toBytes({
    inputs: [{ name: 'picture', type, dims: input ?? ['N', 3, side, side] }],
    outputs: outputs ?? [{ name: 'scores', type: type === 'uint8' ? 'float32' : type, dims: [input?.[0] ?? 'N', 3] }]
  })
}

export async function importGraph(
  t: TestContext,
  body: Body,
  { described = {}, ...options }: Partial<ImportOptions> & { described?: Described } = {}
): Promise<Imported> {
  const { from, importFrom } = bench(t)
  writeFileSync(join(from, 'made.onnx'), onnxBytes(body, described))
  return await importFrom('made.onnx', options)
}

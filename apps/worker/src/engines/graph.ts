import { activationOf, ModelError, type Artifact, type Manifest } from '@streamsight/models'

/** What a model file declares of one of its inputs or outputs. A free dimension is undefined, and so is an unknown rank. */
export interface Declared {
  name: string
  type: string
  dims: Array<number | undefined> | undefined
}

export interface Graph {
  inputs: Declared[]
  outputs: Declared[]
}

export interface Wanted {
  artifact: Artifact
  manifest: Manifest
  inputTypes: readonly string[]
  outputTypes: readonly string[]
}

/**
 * The one input and one output of a classifier, and the batch size if the model was exported for one alone. Throws a ModelError
 * that names the file and both numbers where the graph is not what the manifest says; what the graph leaves open shows when it
 * runs for the first time.
 */
export function checkGraph(
  graph: Graph,
  { artifact, manifest, inputTypes, outputTypes }: Wanted
): { input: Declared; output: Declared; fixedBatch: number | undefined } {
  const input = only(graph.inputs, `${artifact.path}: inputs`)
  const output = only(namedBy(artifact, graph.outputs), `${artifact.path}: outputs`)
  assertType(input, inputTypes, `${artifact.path}: input`)
  assertType(output, outputTypes, `${artifact.path}: output`)
  assertImages(input, artifact, manifest)
  const fixedBatch = input.dims?.[0]
  assertClasses(output, { file: artifact.path, classes: manifest.output.classes, fixedBatch })
  return { input, output, fixedBatch }
}

/** Dimensions of one image in the artifact's layout. */
export function imageDims(
  { input: { width, height } }: Manifest,
  layout: Artifact['layout']
): [number, number, number] {
  return layout === 'NCHW' ? [3, height, width] : [height, width, 3]
}

/** The output that the manifest names, where it names one. */
function namedBy({ output: wanted, path }: Artifact, outputs: Declared[]): Declared[] {
  if (wanted === undefined) return outputs
  const named = outputs.filter(({ name }) => name === wanted)
  if (named.length > 0) return named
  throw new ModelError(
    `${path}: has no output "${wanted}" (field "artifacts.output"): its outputs are ${outputs.map(({ name }) => name).join(', ')}`
  )
}

function only(values: Declared[], what: string): Declared {
  const [value, ...more] = values
  if (value !== undefined && more.length === 0) return value
  throw new ModelError(
    `${what} are ${values.length} (${values.map(({ name }) => name).join(', ')}), a classifier has one: export the model again with that alone`
  )
}

function assertType({ name, type }: Declared, allowed: readonly string[], what: string): void {
  if (!allowed.includes(type))
    throw new ModelError(
      `${what} "${name}" is ${type}, which is not supported: export the model with ${allowed.join(' or ')}`
    )
}

function assertImages({ name, dims }: Declared, { path, layout }: Artifact, manifest: Manifest): void {
  if (dims === undefined) return
  if (dims.length === 4 && fits(dims, imageDims(manifest, layout))) return
  const { width, height } = manifest.input
  const says = `the manifest says ${width} × ${height} pixels in ${layout}, ${show([undefined, ...imageDims(manifest, layout)])}`
  throw new ModelError(`${path}: input "${name}" is ${show(dims)}; ${says}${hint(dims, layout, manifest)}`)
}

/** The likely mistake, where one change of the manifest would make it fit. */
function hint(dims: Array<number | undefined>, layout: Artifact['layout'], manifest: Manifest): string {
  const other = layout === 'NCHW' ? 'NHWC' : 'NCHW'
  return dims.length === 4 && fits(dims, imageDims(manifest, other)) ? `: its field "layout" must be ${other}` : ''
}

function fits(dims: Array<number | undefined>, image: number[]): boolean {
  return dims.slice(1).every((dim, i) => dim === undefined || dim === image[i])
}

/** [N, classes]; or with ones behind, as SqueezeNet ends; or without N, as some models for one image do. */
function assertClasses(
  { name, dims }: Declared,
  { file, classes, fixedBatch }: { file: string; classes: number; fixedBatch: number | undefined }
): void {
  const perImage =
    dims?.length === 1 ? dims.map(dim => (dim === undefined ? dim : dim / (fixedBatch ?? 1))) : dims?.slice(1)
  const scores = perImage?.reduce<number | undefined>(
    (product, dim) => (product === undefined || dim === undefined ? undefined : product * dim),
    1
  )
  // One unit decides between two classes.
  if (scores === undefined || scores === classes || (scores === 1 && classes === 2)) return
  throw new ModelError(
    `${file}: output "${name}" is ${show(dims ?? [])}, ${scores} scores an image; the manifest says ${classes} classes (field "output.classes")`
  )
}

/**
 * Scores of both classes where a model has one unit for the two: beside the second one's probability the rest, or beside its logit 0.
 * Any other scores as they are.
 */
export function bothClasses(
  scores: Float32Array,
  batchSize: number,
  { manifest, artifact }: { manifest: Manifest; artifact: Artifact }
): Float32Array {
  const { classes } = manifest.output
  const activation = activationOf(manifest, artifact)
  if (classes !== 2 || scores.length !== batchSize) return scores
  const both = new Float32Array(2 * batchSize)
  for (const [index, score] of scores.entries()) {
    both[2 * index] = activation === 'logits' ? 0 : 1 - score
    both[2 * index + 1] = score
  }
  return both
}

function show(dims: Array<number | undefined>): string {
  return `[${dims.map((dim, i) => dim ?? (i === 0 ? 'N' : '?')).join(', ')}]`
}

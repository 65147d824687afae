import { basename } from 'node:path'
import { TensorProto_DataType, type ValueInfoProto } from 'onnx-buf'
import { ModelError } from '../../store/error.ts'
import type { InspectOptions } from '../inspect.ts'
import { endsInSigmoid, readPictureShape, type Facts, type Inspected, type PlannedFile } from '../inspected.ts'
import { rawPixels } from '../preprocessing.ts'
import { externalFiles } from './external.ts'
import { readFront } from './front.ts'
import { readOnnxGraph, type OnnxGraph } from './graph-file.ts'
import { chooseOutput, dimsOf, elementName, type Scores } from './outputs.ts'
import { withOutput } from './rewrite.ts'

/**
 * What an ONNX file says: size, layout and type of its input, what it does to pixels, where its scores are and what they are.
 * Throws a ModelError if it is not a classifier of pictures that the engines can run.
 */
export async function inspectOnnx(path: string, options: InspectOptions): Promise<Inspected> {
  const graph = await readOnnxGraph(path)
  const input = pictureInput(graph, path)
  const type = assertInputType(input, path)
  const dims = dimsOf(input)
  const { layout, size } = readPictureShape(dims, path)
  const scores = chooseOutput(graph, options, { path, batch: dims[0] })
  const isOwn = scores.tensor === scores.name
  const several = graph.outputs.length > 1 && isOwn
  return {
    artifacts: [
      {
        format: 'onnx',
        path: basename(path),
        layout,
        ...(several ? { output: scores.name } : {}),
        files: [await graphFile(path, graph, scores), ...(await externalFiles(graph, path))]
      }
    ],
    facts: {
      size: size && { value: size, from: 'the shape of its input' },
      ...factsOf(scores, options, path),
      ...readFront(graph, input.name),
      ...(type === TensorProto_DataType.UINT8 ? rawPixels('its input takes bytes') : {}),
      ...(layout === 'NHWC'
        ? { usual: { preset: 'keras-tf', because: 'usual for models from TensorFlow' } as const }
        : {}),
      ...(graph.outputs.length > 1 ? { output: { value: scores.name, from: 'its outputs' } } : {})
    },
    notes: batchNotes(dims[0], path)
  }
}

/** The one input that is not an initializer; before IR version 4 files list those among the inputs. */
function pictureInput({ inputs, initializers }: OnnxGraph, path: string): ValueInfoProto {
  const real = inputs.filter(({ name }) => !initializers.has(name))
  const [input] = real
  if (input === undefined || real.length > 1)
    throw new ModelError(
      `${path}: has ${real.length} inputs (${real.map(({ name }) => name).join(', ')}); ` +
        'a classifier here has one, the picture'
    )
  return input
}

const inputTypes: number[] = [TensorProto_DataType.FLOAT, TensorProto_DataType.FLOAT16, TensorProto_DataType.UINT8]

function assertInputType({ name, type }: ValueInfoProto, path: string): number {
  const elemType = type?.value.case === 'tensorType' ? type.value.value.elemType : undefined
  if (elemType !== undefined && inputTypes.includes(elemType)) return elemType
  throw new ModelError(
    `${path}: input "${name}" is ${elementName(elemType)}; the engines take float32, float16 or uint8: ` +
      'export the model again with one of these'
  )
}

/** Classes and activation. One unit decides between two classes. */
function factsOf(scores: Scores, { labelCount }: InspectOptions, path: string): Facts {
  const { count, end, labels, name } = scores
  const from = `output "${name}"${end === undefined ? '' : `, ${end.node.opType}`}`
  const classes = count === 1 ? 2 : count
  if (end?.kind === 'sigmoid' && count !== 1) throw endsInSigmoid(path, end.node.opType)
  if (end?.kind === 'probabilities' && count === 1)
    throw new ModelError(
      `${path}: output "${name}" gives one score through ${end.node.opType}, which is 1 for every picture: ` +
        'a single unit needs a sigmoid, and softmax a unit for each class; train it so'
    )
  if (end?.kind === 'features' && labelCount !== count)
    throw new ModelError(
      `${path}: output "${name}" gives ${count ?? 'some'} features of the picture (it ends in ${end.node.opType}), ` +
        'no scores of classes: export the whole classifier, with its last layer; ' +
        'if these are scores, give their labels with --labels'
    )
  return {
    classes: classes === undefined ? undefined : { value: classes, from },
    activation: activationOf(scores, { path, from }),
    ...(labels === undefined || labels.length === 0 ? {} : { labels: { value: labels, from } })
  }
}

function activationOf({ end, count }: Scores, { path, from }: { path: string; from: string }): Facts['activation'] {
  switch (end?.kind) {
    case 'sigmoid':
      return { value: 'sigmoid', from }
    case 'probabilities':
      if (Math.abs(end.mass - 1) < 0.01) return { value: 'softmax', from }
      throw new ModelError(
        `${path}: ends in probabilities that sum to ${Number(end.mass.toPrecision(3))} (${end.node.opType}): ` +
          'export it with their mean instead'
      )
    case 'logits':
    case 'features':
      // One number without a sigmoid may be a logit, or an age.
      return count === 1 ? undefined : { value: 'logits', from }
    case undefined:
      return undefined
  }
}

/** A map by label can't be read by the engines: the tensor that it is made of is the output then. */
async function graphFile(path: string, graph: OnnxGraph, { name, tensor, count }: Scores): Promise<PlannedFile> {
  if (tensor === name) return { path: basename(path), from: path }
  if (count === undefined)
    throw new ModelError(`${path}: output "${name}" is a map without labels: export the model with a tensor of scores`)
  return { path: basename(path), content: await withOutput(path, graph, { tensor, classes: count }) }
}

/** A worker fills up and runs whole batches only: larger ones would cost gigabytes and seconds for one picture. */
const largestBatch = 256

function batchNotes(batch: number | undefined, path: string): string[] {
  if (batch === undefined) return []
  const pictures = batch === 1 ? 'one picture' : `${batch} pictures`
  if (batch > largestBatch)
    throw new ModelError(
      `${path}: was exported for exactly ${pictures} at a time, and at most ${largestBatch} are run: ` +
        'export it with a dynamic batch'
    )
  return [`it was exported for exactly ${pictures} at a time, which costs throughput: a dynamic batch would be better`]
}

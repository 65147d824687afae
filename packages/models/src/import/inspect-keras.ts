import {
  KerasError,
  readKerasArchive,
  readKerasH5,
  readTfjsLayers,
  writeOnnx,
  writeTfjs,
  type Network,
  type ReadOptions
} from '@streamsight/keras'
import type { Facts, Inspected, PlannedArtifact } from './inspected.ts'
import { ModelError } from '../store/error.ts'
import { rawPixels, unitPixels, usualOfKerasModel } from './preprocessing.ts'
import { openSource } from './source-files.ts'
import { openZip } from './zip.ts'
import { readLayersTopology } from './tfjs-layers.ts'

/** A model.json and its shards, as they go into an artifact. */
export type TfjsFiles = Pick<PlannedArtifact, 'path' | 'files'> & { topology: unknown }

/**
 * A Keras `.h5` as both artifacts. Throws a ModelError that names the file and the layer that can't be converted.
 */
export async function inspectKeras(path: string, options: ReadOptions): Promise<Inspected> {
  const { file } = await openSource(path)
  await file.close()
  return inspected(await asModelError(readKerasH5(path, options)))
}

/** A `.keras` file, which is a zip. */
export async function inspectKerasArchive(path: string, options: ReadOptions): Promise<Inspected> {
  const zip = await openZip(path)
  try {
    const weights = [...zip.files.keys()].find(name => /^model\.weights\.(h5|npz)$/.test(name))
    if (weights !== 'model.weights.h5')
      throw new ModelError(`${path}: has no model.weights.h5: not a .keras file, or one in a form that is not read`)
    const archive = {
      config: await zip.read('config.json'),
      metadata: await zip.read('metadata.json'),
      weights: await zip.read(weights)
    }
    return inspected(await asModelError(readKerasArchive(path, archive, options)))
  } finally {
    zip.close()
  }
}

/**
 * A TensorFlow.js layers model with an ONNX artifact beside its own: ONNX Runtime is ten times as fast as tfjs on a CPU. Where a
 * layer can't be converted, a note says why TensorFlow.js has to run it.
 */
export async function inspectTfjsLayers(
  path: string,
  { topology, ...files }: TfjsFiles,
  options: ReadOptions
): Promise<Inspected> {
  try {
    const { network, runsAsItIs } = await asModelError(readTfjsLayers(path, options))
    const isChanged = options.activation === 'sigmoid' || options.output !== undefined
    const own: PlannedArtifact = { format: 'tfjs-layers', layout: 'NHWC', ...files }
    return inspected(network, runsAsItIs && !isChanged ? own : tfjsArtifact(network))
  } catch (error) {
    if (!(error instanceof ModelError)) throw error
    const { facts, layout } = readLayersTopology(topology, path)
    return {
      artifacts: [{ format: 'tfjs-layers', layout, ...files }],
      facts,
      notes: [`no ONNX artifact, TensorFlow.js alone can run it: ${error.message}`]
    }
  }
}

function inspected(network: Network, tfjs: PlannedArtifact = tfjsArtifact(network)): Inspected {
  return { artifacts: [onnxArtifact(network), tfjs], facts: factsOf(network), notes: [] }
}

function factsOf({ input, classes, activation, activationFrom, pixels, architecture, models }: Network): Facts {
  const names = [...(architecture === undefined ? [] : [architecture]), ...models]
  return {
    size: { value: input, from: 'its input layer' },
    classes: { value: classes, from: 'its last layer' },
    activation: { value: activation, from: activationFrom },
    ...(pixels === undefined ? {} : pixels.range === '0-255' ? rawPixels(pixels.from) : unitPixels(pixels.from)),
    usual: names.map(usualOfKerasModel).find(usual => usual !== undefined)
  }
}

/** What packages/keras says of a file is a fault of the model like any other. */
async function asModelError<Result>(reading: Promise<Result>): Promise<Result> {
  try {
    return await reading
  } catch (error) {
    throw error instanceof KerasError ? new ModelError(error.message, { cause: error }) : error
  }
}

function onnxArtifact(network: Network): PlannedArtifact {
  return {
    format: 'onnx',
    path: 'model.onnx',
    layout: 'NCHW',
    files: [{ path: 'model.onnx', content: writeOnnx(network) }]
  }
}

function tfjsArtifact(network: Network): PlannedArtifact {
  const { json, weights } = writeTfjs(network)
  return {
    format: 'tfjs-layers',
    path: 'model.json',
    layout: 'NHWC',
    files: [
      { path: 'model.json', content: json },
      { path: 'weights.bin', content: weights }
    ]
  }
}

import { KerasError, readKerasH5, readTfjsLayers, writeOnnx, writeTfjs, type Network } from '@streamsight/keras'
import type { Inspected, PlannedArtifact } from './inspected.ts'
import { ModelError } from '../store/manifest.ts'
import { usualOfKerasModel } from './preprocessing.ts'

/**
 * A Keras `.h5` as both artifacts. `architecture` says which model of `keras.applications` it is where the file holds weights
 * alone. Throws a ModelError that names the file and the layer that can't be converted.
 */
export async function inspectKeras(path: string, architecture: string | undefined): Promise<Inspected> {
  const network = await asModelError(readKerasH5(path, architecture === undefined ? {} : { architecture }))
  const { input, classes, activation, architecture: recognized } = network
  return {
    artifacts: [onnxArtifact(network), tfjsArtifact(network)],
    facts: {
      size: { value: input, from: 'its input layer' },
      classes: { value: classes, from: 'its last layer' },
      activation: activation && { value: activation, from: 'its last layer' },
      usual: usualOfKerasModel(recognized ?? network.name)
    },
    notes: []
  }
}

/** Adds an ONNX artifact to a layers model, or a note why there is none: ONNX Runtime is ten times as fast as tfjs on a CPU. */
export async function withOnnx(inspected: Inspected, path: string): Promise<Inspected> {
  try {
    const network = await asModelError(readTfjsLayers(path))
    const usual = inspected.facts.usual ?? usualOfKerasModel(network.architecture ?? '')
    return {
      ...inspected,
      artifacts: [onnxArtifact(network), ...inspected.artifacts],
      facts: { ...inspected.facts, usual }
    }
  } catch (error) {
    if (!(error instanceof ModelError)) throw error
    return {
      ...inspected,
      notes: [...inspected.notes, `no ONNX artifact, TensorFlow.js alone can run it: ${error.message}`]
    }
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

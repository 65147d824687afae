import type { Inspected, PlannedArtifact } from './inspected.ts'
import type { Network } from '../keras/network.ts'
import { readKerasH5 } from '../keras/read-h5.ts'
import { readTfjsLayers } from '../keras/read-tfjs.ts'
import { writeOnnx } from '../keras/write-onnx.ts'
import { writeTfjs } from '../keras/write-tfjs.ts'
import { ModelError } from '../store/manifest.ts'
import { usualOfKerasModel } from './preprocessing.ts'

/**
 * A Keras `.h5` as both artifacts. `architecture` says which model of `keras.applications` it is where the file holds weights
 * alone. Throws a ModelError that names the file and the layer that can't be converted.
 */
export async function inspectKeras(path: string, architecture: string | undefined): Promise<Inspected> {
  const network = await readKerasH5(path, architecture === undefined ? {} : { architecture })
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
    const network = await readTfjsLayers(path)
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

import { extname } from 'node:path'
import type { SourceFormat } from '../pull/catalog.ts'
import { ModelError } from '../store/error.ts'
import { inspectOnnx } from './onnx/inspect.ts'
import type { Activation, Inspected, Size } from './inspected.ts'
import { withCompanion } from './kinds/combine.ts'
import { readOnnxMetadata } from './kinds/onnx-metadata.ts'
import { readOnnxGraph } from './onnx/graph-file.ts'

/** What helps to understand a file; crosses to a thread, so it is plain data. */
export interface InspectOptions {
  /** What the file is, where its ending doesn't tell. */
  format?: SourceFormat | undefined
  /** For a Keras file that holds weights alone: which model of `keras.applications` they are. */
  architecture?: string | undefined
  /** Which of several outputs holds the scores. */
  output?: string | undefined
  /** The size of pictures, for a Keras model that takes any. */
  size?: Size | undefined
  /** `sigmoid` adds one to a Keras model that ends in a single score without an activation. */
  activation?: Activation | undefined
  /** How many labels were given: of several outputs, the one with as many scores is meant. */
  labelCount?: number | undefined
}

/**
 * Reads a model file of any kind. Runs in a thread of its own: see `inspectGuarded`. What reads Keras' kinds is
 * imported only for them: its HDF5 library is megabytes of WebAssembly.
 */
export async function inspect(path: string, options: InspectOptions): Promise<Inspected> {
  switch (options.format ?? formatOf(path)) {
    case 'onnx':
      return await inspectOnnxModel(path, options)
    case 'tfjs-layers':
    case 'tfjs-graph':
      return await (await import('./inspect-tfjs.ts')).inspectTfjs(path, options)
    case 'keras-h5':
      return await (await import('./inspect-keras.ts')).inspectKeras(path, options)
    case 'keras':
      return await (await import('./inspect-keras.ts')).inspectKerasArchive(path, options)
  }
}

/** Metadata first: it names what a graph is for, where it is no classifier. */
async function inspectOnnxModel(path: string, options: InspectOptions): Promise<Inspected> {
  const { model, outputs } = await readOnnxGraph(path)
  const metadata = new Map(model.metadataProps.map(({ key, value }) => [key, value]))
  const beside = readOnnxMetadata({ metadata, outputs: outputs.map(({ name }) => name) }, path)
  return withCompanion(await inspectOnnx(path, options), beside)
}

/** A model.json says itself which of the two it is. */
function formatOf(path: string): SourceFormat {
  switch (extname(path).toLowerCase()) {
    case '.onnx':
      return 'onnx'
    case '.json':
      return 'tfjs-layers'
    case '.h5':
    case '.hdf5':
      return 'keras-h5'
    case '.keras':
      return 'keras'
    default:
      throw new ModelError(
        `${path}: can't tell by its ending what it is: ONNX is .onnx, TensorFlow.js .json, Keras .keras or .h5`
      )
  }
}

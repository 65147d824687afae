import { ModelError, type Artifact, type Manifest } from '../store/manifest.ts'
import type { PresetName } from './preprocessing.ts'

export interface Size {
  width: number
  height: number
}

export type Activation = Manifest['output']['activation']

/** How one file gets into a model's directory: copied as it is, or written from what a conversion made. */
export type PlannedFile = { path: string } & ({ from: string } | { content: Uint8Array | string })

/** An artifact before its files are written; its layout may still be open. */
export interface PlannedArtifact {
  format: Artifact['format']
  path: string
  layout: Artifact['layout'] | undefined
  files: PlannedFile[]
}

/** What a model file says about itself; undefined where it leaves that open. */
export interface Facts {
  size: Size | undefined
  classes: number | undefined
  activation: Activation | undefined
  /** That of its architecture, where it is one of `keras.applications`. */
  preprocessing: PresetName | undefined
}

/** A model file read: what will be written and what is known. */
export interface Inspected {
  artifacts: PlannedArtifact[]
  facts: Facts
  /** What a person should know about this file, one sentence each. */
  notes: string[]
}

/** What a graph tells, and the layout of its input. */
export interface Topology {
  facts: Facts
  layout: Artifact['layout'] | undefined
}

/** The lengths of a tensor's dimensions; undefined where one is not fixed. */
export type Dims = Array<number | undefined>

/**
 * Layout and size of a batch of pictures of these dimensions, each undefined where the dimensions leave it open. Throws a
 * ModelError if no pictures of three channels have such dimensions.
 */
export function readPictureShape(
  dims: Dims,
  path: string
): { layout: Artifact['layout'] | undefined; size: Size | undefined } {
  if (dims.length === 0) return { layout: undefined, size: undefined }
  const [, first, second, last] = dims
  const layout = first === 3 ? 'NCHW' : last === 3 ? 'NHWC' : undefined
  const impossible = layout === undefined && first !== undefined && last !== undefined
  if (dims.length !== 4 || impossible)
    throw new ModelError(
      `${path}: its input is [${dims.map(dim => dim ?? '?').join(', ')}]; a batch of pictures has four dimensions, with three colour channels second or last`
    )
  const [height, width] = layout === 'NHWC' ? [first, second] : [second, last]
  return {
    layout,
    size: layout !== undefined && width !== undefined && height !== undefined ? { width, height } : undefined
  }
}

/** What to say of a model whose last step is `name`, a sigmoid. */
export function endsInSigmoid(path: string, name: string): ModelError {
  return new ModelError(
    `${path}: it ends in ${name}, which scores each label by itself; here one label of all is chosen, so a model must end in softmax or logits`
  )
}

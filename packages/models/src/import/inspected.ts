import type { Label } from '../store/labels.ts'
import { ModelError } from '../store/error.ts'
import type { Artifact, Manifest } from '../store/manifest.ts'
import type { Preprocessing, PresetName } from './preprocessing.ts'
import type { Known } from './settings.ts'

export interface Size {
  width: number
  height: number
}

export type Activation = Manifest['output']['activation']

/**
 * How one file gets into a model's directory: copied from where somebody said, copied from below a folder that it must lie in, or
 * written from what a conversion made.
 */
export type PlannedFile = { path: string } & ({ from: string } | { folder: string } | { content: Uint8Array | string })

/** An artifact before its files are written; its layout may still be open. */
export interface PlannedArtifact {
  format: Artifact['format']
  path: string
  layout: Artifact['layout'] | undefined
  /** The output that holds the scores, where the graph has several. */
  output?: string | undefined
  files: PlannedFile[]
}

/** What a model's files say of how pixels are prepared. */
export type PixelFacts = { [Name in keyof Preprocessing]?: Known<Preprocessing[Name]> }

/** What a model's files say of it, setting by setting; what they leave open is absent. */
export interface Facts extends PixelFacts {
  size?: Known<Size> | undefined
  classes?: Known<number> | undefined
  activation?: Known<Activation> | undefined
  labels?: Known<Label[]> | undefined
  /** The output that was chosen, where the graph has several. */
  output?: Known<string> | undefined
  /** The best guess for what of the preprocessing is neither known nor given; counts as assumed. */
  usual?: { preset: PresetName; because: string } | undefined
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
  // With three in both places, which of them are the colours is anybody's guess.
  const isOpen = first === 3 && last === 3
  const layout = isOpen ? undefined : first === 3 ? 'NCHW' : last === 3 ? 'NHWC' : undefined
  const impossible = !isOpen && layout === undefined && first !== undefined && last !== undefined
  if (dims.length !== 4 || impossible)
    throw new ModelError(
      `${path}: its input is [${dims.map(dim => dim ?? '?').join(', ')}]; ` +
        'a batch of pictures has four dimensions, with three colour channels second or last'
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
    `${path}: it ends in ${name}, which scores each label by itself; ` +
      'here one label of all is chosen, so a model must end in softmax or logits'
  )
}

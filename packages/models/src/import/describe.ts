import type { Activation, Facts, Inspected, PlannedArtifact, Size } from './inspected.ts'
import { ModelError, type Artifact, type Input, type Manifest } from '../store/manifest.ts'
import { presets, type Preprocessing, type PresetName } from './preprocessing.ts'

/** What somebody says of a model, where its files don't or where they know better. */
export interface Statements {
  name: string
  version?: string | undefined
  license?: string | undefined
  source?: string | undefined
  preprocessing?: PresetName | undefined
  /** Single settings that differ from the preset. */
  overrides?: Partial<Preprocessing> | undefined
  size?: Size | undefined
  layout?: Artifact['layout'] | undefined
  activation?: Activation | undefined
}

/** Labels in index order and the file they come from. */
export interface GivenLabels {
  path: string
  list: string[]
}

/** All of a manifest but its artifacts' files, which are not written yet, and what had to be assumed for it. */
export interface Description {
  manifest: Omit<Manifest, 'artifacts'>
  layouts: Array<Artifact['layout']>
  labels: string[]
  assumed: string[]
}

/**
 * Puts together what a model's files say and what its user states. What neither knows is assumed where there is a usual answer,
 * and listed; where there is none, a ModelError names the option to give.
 */
export function describe(
  { artifacts, facts }: Inspected,
  statements: Statements,
  given: GivenLabels | undefined
): Description {
  const { name } = statements
  const { classes, labels, assumed } = labelled(facts, given)
  const { preset, why } = choosePreset(facts, statements, artifacts)
  const activation = statements.activation ?? facts.activation
  if (activation === undefined)
    throw new ModelError(
      `${name}: can't see whether it ends in softmax: give --activation softmax or --activation logits`
    )
  return {
    manifest: {
      name,
      version: statements.version ?? '1',
      license: statements.license ?? 'unknown',
      source: statements.source ?? 'unknown',
      input: inputOf(sizeOf(facts, statements), { ...presets[preset], ...statements.overrides }),
      output: { activation, classes },
      labels: 'labels.txt'
    },
    layouts: artifacts.map(artifact => layoutOf(artifact, statements)),
    labels,
    assumed: [...why, ...assumed, ...conflicts(facts, statements)]
  }
}

/** The order of fields in a manifest is for the person who reads it. */
function inputOf(
  { width, height }: Size,
  { channels, fit, cropFraction, kernel, scale, mean, std }: Preprocessing
): Input {
  return { width, height, channels, fit, cropFraction, kernel, scale, mean, std }
}

function labelled(
  { classes }: Facts,
  given: GivenLabels | undefined
): { classes: number; labels: string[]; assumed: string[] } {
  if (given !== undefined) {
    const { path, list } = given
    if (classes !== undefined && list.length !== classes)
      throw new ModelError(
        `${path}: ${list.length} labels, but the model has ${classes} classes: give with --labels the file that belongs to this model`
      )
    return { classes: list.length, labels: list, assumed: [] }
  }
  if (classes === undefined)
    throw new ModelError('can’t see how many classes the model has: give their labels with --labels')
  const labels = Array.from({ length: classes }, (_, index) => `class ${index}`)
  return {
    classes,
    labels,
    assumed: [`no labels: answers will say "class 0" to "class ${classes - 1}"; give --labels to name them`]
  }
}

function choosePreset(
  { preprocessing: known }: Facts,
  { preprocessing: stated, overrides = {} }: Statements,
  artifacts: PlannedArtifact[]
): { preset: PresetName; why: string[] } {
  if (stated !== undefined) return { preset: stated, why: [] }
  if (known !== undefined)
    return {
      preset: known,
      why: [
        `assumed --preprocessing ${known}, which keras.applications uses for this architecture: give it if the model was trained otherwise`
      ]
    }
  // What ONNX holds mostly comes from PyTorch; what TensorFlow.js holds, from Keras.
  const usual = artifacts.every(({ format }) => format === 'onnx') ? 'imagenet' : 'keras-tf'
  const settled = ['channels', 'fit', 'cropFraction', 'kernel', 'scale', 'mean', 'std'].every(key => key in overrides)
  return {
    preset: usual,
    why: settled ? [] : [`assumed --preprocessing ${usual}: give it if the model was trained otherwise`]
  }
}

function sizeOf({ size: known }: Facts, { size: stated, name }: Statements): Size {
  if (known !== undefined && stated !== undefined && (known.width !== stated.width || known.height !== stated.height)) {
    throw new ModelError(
      `${name}: its file says that pictures are ${known.width}x${known.height}, --size says ${stated.width}x${stated.height}: leave --size out`
    )
  }
  const size = known ?? stated
  if (size === undefined)
    throw new ModelError(
      `${name}: takes pictures of any size: give the one it was trained with, for example --size 224x224`
    )
  return size
}

function layoutOf({ path, layout: known }: PlannedArtifact, { layout: stated }: Statements): Artifact['layout'] {
  const layout = known ?? stated
  if (layout === undefined)
    throw new ModelError(
      `${path}: doesn't say where its colour channels are: give --layout NCHW (second) or --layout NHWC (last)`
    )
  return layout
}

function conflicts({ activation: seen }: Facts, { activation: stated }: Statements): string[] {
  if (seen === undefined || stated === undefined || seen === stated) return []
  return [`the graph seems to end in ${seen}, but --activation ${stated} was given and is taken`]
}

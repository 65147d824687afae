import type { Activation, Facts, Inspected, PlannedArtifact, Size } from './inspected.ts'
import { labelsFile, type Label } from '../store/labels.ts'
import { ModelError } from '../store/error.ts'
import type { Artifact, Input, Manifest } from '../store/manifest.ts'
import { choosePixels, type PixelSettings, type PixelStatements } from './pixels.ts'
import type { PresetName } from './preprocessing.ts'
import { assumedNames, choose, type Setting, type Settings } from './settings.ts'

/** What somebody says of a model, where its files don't or where they know better. */
export interface Statements extends PixelStatements {
  name: string
  version?: string | undefined
  license?: string | undefined
  source?: string | undefined
  size?: Size | undefined
  layout?: Artifact['layout'] | undefined
  activation?: Activation | undefined
  /** Which of several outputs holds the scores. */
  output?: string | undefined
}

/** Labels in index order and the file they come from. */
export interface GivenLabels {
  path: string
  list: Label[]
}

/** All of a manifest but its artifacts' files, which are not written yet, and where each setting comes from. */
export interface Description {
  manifest: Omit<Manifest, 'artifacts'>
  layouts: Array<Artifact['layout']>
  settings: Settings
  notes: string[]
}

/**
 * Puts together what a model's files say and what its user states. What neither knows is assumed where there is a usual answer,
 * and marked as that; where there is none, a ModelError names the option to give.
 */
export function describe(
  { artifacts, facts, notes }: Inspected,
  statements: Statements,
  given: GivenLabels | undefined
): Description {
  const { name } = statements
  const layouts = artifacts.map(artifact => layoutOf(artifact, statements))
  const settings: Settings = {
    size: sizeOf(facts, statements),
    layout: layoutSetting(artifacts, layouts[0] ?? 'NHWC', statements),
    ...(facts.output === undefined ? {} : { output: outputOf(facts.output, statements) }),
    ...labelled(facts, given),
    activation: activationOf(facts, statements),
    ...choosePixels(facts, statements, facts.usual ?? usualOf(artifacts))
  }
  const assumed = assumedNames(settings)
  return {
    manifest: {
      name,
      version: statements.version ?? '1',
      license: statements.license ?? 'unknown',
      source: statements.source ?? 'unknown',
      input: inputOf(settings.size.value, settings),
      output: { activation: settings.activation.value, classes: settings.classes.value },
      labels: labelsFile(settings.labels.value).path,
      ...(assumed.length === 0 ? {} : { assumed })
    },
    layouts,
    settings,
    notes: [...notes, ...conflicts(facts, settings)]
  }
}

/** The order of fields in a manifest is for the person who reads it. */
function inputOf(
  { width, height }: Size,
  { channels, fit, cropFraction, kernel, scale, mean, std }: PixelSettings
): Input {
  return {
    width,
    height,
    channels: channels.value,
    fit: fit.value,
    cropFraction: cropFraction.value,
    kernel: kernel.value,
    scale: scale.value,
    mean: mean.value,
    std: std.value
  }
}

function labelled(facts: Facts, given: GivenLabels | undefined): Pick<Settings, 'classes' | 'labels'> {
  const labels = choose({ value: given?.list, from: `--labels ${given?.path}` }, facts.labels)
  const classes = facts.classes && ({ ...facts.classes, source: 'read' } as const)
  if (labels !== undefined) {
    assertCount(labels, classes)
    const { value, source, from } = labels
    return { labels, classes: classes ?? { value: value.length, source, from } }
  }
  if (classes === undefined)
    throw new ModelError('can’t see how many classes the model has: give their labels with --labels')
  if (classes.value > mostClasses)
    throw new ModelError(`the model says that it has ${classes.value} classes (${classes.from}): it is damaged`)
  const value = Array.from({ length: classes.value }, (_, index) => ({ label: `class ${index}` }))
  return { classes, labels: { value, source: 'assumed', from: 'no labels were given, so answers name class numbers' } }
}

const beside = ', or take away the one beside it'

function assertCount({ value, source, from }: Setting<Label[]>, classes: Setting<number> | undefined): void {
  if (classes === undefined || value.length === classes.value) return
  throw new ModelError(
    `${from.replace(/^--labels /, '')}: ${value.length} labels, but the model has ${classes.value} classes: ` +
      `give with --labels the file that belongs to this model${source === 'read' ? beside : ''}`
  )
}

/** What ONNX holds mostly comes from PyTorch; what TensorFlow.js holds, from Keras. */
function usualOf(artifacts: PlannedArtifact[]): { preset: PresetName; because: string } {
  const isOnnx = artifacts.every(({ format }) => format === 'onnx')
  return isOnnx
    ? { preset: 'imagenet', because: 'usual for ONNX models' }
    : { preset: 'keras-tf', because: 'usual for models from Keras' }
}

function sizeOf({ size: known }: Facts, { size: stated, name }: Statements): Setting<Size> {
  if (
    known !== undefined &&
    stated !== undefined &&
    (known.value.width !== stated.width || known.value.height !== stated.height)
  ) {
    throw new ModelError(
      `${name}: its file says that pictures are ${known.value.width}x${known.value.height}, ` +
        `--size says ${stated.width}x${stated.height}: leave --size out`
    )
  }
  const size = choose({ value: known === undefined ? stated : undefined, from: '--size' }, known)
  if (size === undefined)
    throw new ModelError(
      `${name}: takes pictures of any size: give the one it was trained with, for example --size 224x224`
    )
  const { width, height } = size.value
  if (width * height > mostPixels)
    throw new ModelError(
      `${name}: takes pictures of ${width}x${height} (${size.from}); a batch of them would not fit into memory`
    )
  return size
}

/** The largest classifiers take 1024 x 1024; a picture of this size is 200 MB to an engine. */
const mostPixels = 4_096 * 4_096
/** ImageNet has 21,843 and the largest data sets of faces and products some hundred thousand. */
const mostClasses = 1_000_000

function layoutOf({ path, layout: known }: PlannedArtifact, { layout: stated }: Statements): Artifact['layout'] {
  const layout = known ?? stated
  if (layout === undefined)
    throw new ModelError(
      `${path}: doesn't say where its colour channels are: give --layout NCHW (second) or --layout NHWC (last)`
    )
  return layout
}

function layoutSetting(
  [first]: PlannedArtifact[],
  value: Artifact['layout'],
  { layout }: Statements
): Settings['layout'] {
  const isGiven = first?.layout === undefined && layout !== undefined
  return isGiven
    ? { value, source: 'given', from: '--layout' }
    : { value, source: 'read', from: 'the shape of its input' }
}

function outputOf(known: NonNullable<Facts['output']>, { output }: Statements): Setting<string> {
  return output === undefined ? { ...known, source: 'read' } : { value: output, source: 'given', from: '--output' }
}

function activationOf({ activation: known }: Facts, { activation: stated, name }: Statements): Setting<Activation> {
  const activation = choose({ value: stated, from: '--activation' }, known)
  if (activation === undefined)
    throw new ModelError(
      `${name}: can't see whether it ends in softmax: give --activation softmax or --activation logits, ` +
        'or for a single unit --activation sigmoid'
    )
  return activation
}

/** What a person gave against what the file says is taken, and told. */
function conflicts(facts: Facts, settings: Settings): string[] {
  const { activation, scale } = settings
  return [
    ...(facts.activation !== undefined && facts.activation.value !== activation.value
      ? [
          `the graph seems to end in ${facts.activation.value} (${facts.activation.from}), ` +
            `but --activation ${activation.value} was given and is taken`
        ]
      : []),
    ...(facts.scale !== undefined && facts.scale.value !== scale.value
      ? [
          `the file says scale ${facts.scale.value} (${facts.scale.from}), ` +
            `but ${scale.from} says ${scale.value} and is taken`
        ]
      : [])
  ]
}

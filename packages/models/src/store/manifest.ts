import { Compile, Type, type Static } from '@streamsight/schema'
import { ModelError } from './error.ts'
import { firstFault, modelNamePattern, preprocessingFields, relativePathPattern, Sha256 } from './schema.ts'

const RelativePath = Type.String({ pattern: relativePathPattern, description: 'Within the model’s directory' })

const Input = Type.Object(
  {
    width: Type.Integer({ minimum: 1 }),
    height: Type.Integer({ minimum: 1 }),
    ...preprocessingFields
  },
  { additionalProperties: false }
)

const activation = Type.Union([Type.Literal('softmax'), Type.Literal('logits'), Type.Literal('sigmoid')], {
  description: 'What the graph ends in; sigmoid is one unit for two classes, and gives the second one’s probability'
})

const Agreement = Type.Object(
  {
    share: Type.Number({ minimum: 0, maximum: 1, description: 'Of the pictures, those with the same first label' }),
    shareOfSure: Type.Optional(
      Type.Number({
        minimum: 0,
        maximum: 1,
        description: 'The same, of those of which the exact one is sure (0.5 or more)'
      })
    ),
    pictures: Type.Integer({ minimum: 1 }),
    source: Type.String({ description: 'What the pictures are' })
  },
  { additionalProperties: false }
)

const Artifact = Type.Object(
  {
    format: Type.Union([Type.Literal('onnx'), Type.Literal('tfjs-layers'), Type.Literal('tfjs-graph')]),
    precision: Type.Optional(
      Type.Union([Type.Literal('float32'), Type.Literal('float16'), Type.Literal('int8')], {
        description: 'Of the weights; float32 where it is left out. All but int8 count as exact'
      })
    ),
    activation: Type.Optional(activation),
    quantization: Type.Optional(Type.String({ description: 'How an int8 artifact was made' })),
    agreement: Type.Optional(
      Type.Array(Agreement, { minItems: 1, description: 'How far an int8 artifact answers as the exact one' })
    ),
    path: RelativePath,
    layout: Type.Union([Type.Literal('NCHW'), Type.Literal('NHWC')]),
    output: Type.Optional(
      Type.String({ minLength: 1, description: 'Which output of the graph holds the scores, where it has several' })
    ),
    files: Type.Array(
      Type.Object(
        {
          path: RelativePath,
          bytes: Type.Integer({ minimum: 1 }),
          sha256: Sha256
        },
        { additionalProperties: false }
      ),
      { minItems: 1, description: 'Every file of the artifact, shards included' }
    )
  },
  { additionalProperties: false }
)

const Manifest = Type.Object(
  {
    name: Type.String({ pattern: modelNamePattern.source, description: 'Also the name of the directory' }),
    version: Type.String({ minLength: 1 }),
    license: Type.String(),
    source: Type.String({ description: 'Where the weights come from' }),
    input: Input,
    output: Type.Object(
      {
        activation,
        classes: Type.Integer({ minimum: 2 })
      },
      { additionalProperties: false }
    ),
    labels: RelativePath,
    assumed: Type.Optional(
      Type.Array(Type.String(), { description: 'Settings that the import could neither read nor was given' })
    ),
    artifacts: Type.Array(Artifact, { minItems: 1, description: 'The same weights in several formats and precisions' })
  },
  { additionalProperties: false }
)

export type Input = Static<typeof Input>
export type Artifact = Static<typeof Artifact>
export type Manifest = Static<typeof Manifest>
export type Precision = NonNullable<Artifact['precision']>

/** What an artifact ends in: its own `activation`, for one cut before the softmax of the others, or the model's. */
export function activationOf({ output }: Manifest, artifact: Artifact): Manifest['output']['activation'] {
  return artifact.activation ?? output.activation
}

export function precisionOf({ precision = 'float32' }: Artifact): Precision {
  return precision
}

const schema = Compile(Manifest)

/** The manifest in `text`; throws a ModelError that names the first bad field. `file` is for the message. */
export function parseManifest(text: string, file: string): Manifest {
  const value = parseJson(text, file)
  if (schema.Check(value)) return value
  throw new ModelError(`${file}: ${firstFault(schema.Errors(value), 'manifest')}`)
}

/** Any JSON of a model directory; throws a ModelError that names `file`. */
export function parseJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new ModelError(`${file}: not JSON: ${(error as Error).message}`)
  }
}

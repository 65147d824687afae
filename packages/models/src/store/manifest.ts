import { Type, type Static } from 'typebox'
import { Compile } from 'typebox/compile'
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

const Artifact = Type.Object(
  {
    format: Type.Union([Type.Literal('onnx'), Type.Literal('tfjs-layers'), Type.Literal('tfjs-graph')]),
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
        activation: Type.Union([Type.Literal('softmax'), Type.Literal('logits'), Type.Literal('sigmoid')], {
          description:
            'What the graph ends in; sigmoid is one unit for two classes, and gives the second one’s probability'
        }),
        classes: Type.Integer({ minimum: 2 })
      },
      { additionalProperties: false }
    ),
    labels: RelativePath,
    assumed: Type.Optional(
      Type.Array(Type.String(), { description: 'Settings that the import found nowhere and nobody gave' })
    ),
    artifacts: Type.Array(Artifact, { minItems: 1, description: 'The same weights in several formats' })
  },
  { additionalProperties: false }
)

export type Input = Static<typeof Input>
export type Artifact = Static<typeof Artifact>
export type Manifest = Static<typeof Manifest>

/** Something is wrong with a model on disk; the message names the file or field and what was expected. */
export class ModelError extends Error {
  readonly code = 'MODEL'
}

const schema = Compile(Manifest)

/** The manifest in `text`; throws a ModelError that names the first bad field. `file` is for the message. */
export function parseManifest(text: string, file: string): Manifest {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new ModelError(`${file}: not JSON: ${(error as Error).message}`)
  }
  if (schema.Check(value)) return value
  throw new ModelError(`${file}: ${firstFault(schema.Errors(value), 'manifest')}`)
}

import { Type, type Static } from 'typebox'
import { Compile } from 'typebox/compile'

const Sha256 = Type.String({ pattern: '^[0-9a-f]{64}$' })
const RelativePath = Type.String({ pattern: '^[^/\\\\.][^/\\\\]*(/[^/\\\\.][^/\\\\]*)*$', description: 'Within the model’s directory: no part of it begins with a dot' })
const PerChannel = Type.Array(Type.Number(), { minItems: 3, maxItems: 3 })

const Input = Type.Object({
  width: Type.Integer({ minimum: 1 }),
  height: Type.Integer({ minimum: 1 }),
  channels: Type.Union([Type.Literal('RGB'), Type.Literal('BGR')], { description: 'Order of the planes; mean and std are given in it' }),
  fit: Type.Union([Type.Literal('fill'), Type.Literal('cover')], { description: 'fill stretches; cover scales the short side and crops the centre' }),
  cropFraction: Type.Number({ exclusiveMinimum: 0, maximum: 1, description: 'Share of the scaled short side that is kept: 224 of 256 is 0.875' }),
  kernel: Type.Union([Type.Literal('nearest'), Type.Literal('linear'), Type.Literal('cubic'), Type.Literal('lanczos3')]),
  scale: Type.Number({ description: 'A channel’s input is (pixel · scale − mean) ÷ std, with pixel in 0–255' }),
  mean: PerChannel,
  std: Type.Array(Type.Number({ exclusiveMinimum: 0 }), { minItems: 3, maxItems: 3 })
}, { additionalProperties: false })

const Artifact = Type.Object({
  format: Type.Union([Type.Literal('onnx'), Type.Literal('tfjs-layers'), Type.Literal('tfjs-graph')]),
  path: RelativePath,
  layout: Type.Union([Type.Literal('NCHW'), Type.Literal('NHWC')]),
  files: Type.Array(Type.Object({
    path: RelativePath,
    bytes: Type.Integer({ minimum: 1 }),
    sha256: Sha256
  }, { additionalProperties: false }), { minItems: 1, description: 'Every file of the artifact, shards included' })
}, { additionalProperties: false })

const Manifest = Type.Object({
  name: Type.String({ pattern: '^[a-z0-9][a-z0-9._-]*$', description: 'Also the name of the directory' }),
  version: Type.String({ minLength: 1 }),
  license: Type.String(),
  source: Type.String({ description: 'Where the weights come from' }),
  input: Input,
  output: Type.Object({
    activation: Type.Union([Type.Literal('softmax'), Type.Literal('logits')], { description: 'What the graph ends in' }),
    classes: Type.Integer({ minimum: 2 })
  }, { additionalProperties: false }),
  labels: RelativePath,
  artifacts: Type.Array(Artifact, { minItems: 1, description: 'The same weights in several formats' })
}, { additionalProperties: false })

export type Input = Static<typeof Input>
export type Artifact = Static<typeof Artifact>
export type Manifest = Static<typeof Manifest>

/** Something is wrong with a model on disk; the message names the file or field and what was expected. */
export class ModelError extends Error {
  readonly code = 'MODEL'
}

const schema = Compile(Manifest)

/** The manifest in `text`; throws a ModelError that names the first bad field. `file` is for the message. */
export function parseManifest (text: string, file: string): Manifest {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new ModelError(`${file}: not JSON: ${(error as Error).message}`)
  }
  if (schema.Check(value)) return value
  throw new ModelError(`${file}: ${firstFault(value)}`)
}

function firstFault (value: unknown): string {
  const errors = schema.Errors(value)
  const [first] = errors
  const field = `field "${first?.instancePath.slice(1).replaceAll('/', '.') || '(top)'}"`
  const allowed = errors.flatMap(error => error.keyword === 'const' && error.instancePath === first?.instancePath ? [error.params.allowedValue] : [])
  if (allowed.length > 0) return `${field} must be ${allowed.join(' or ')}`
  return `${field} ${first?.keyword === 'boolean' ? 'is not one that a manifest has' : first?.message ?? 'is not valid'}`
}

import { Type, type TLocalizedValidationError } from '@streamsight/schema'

/** What a model may be called. It is also the name of its directory. */
export const modelNamePattern = /^[a-z0-9][a-z0-9._-]*$/

export const Sha256 = Type.String({ pattern: '^[0-9a-f]{64}$' })

/** Within a model's directory: no part of it begins with a dot. */
export const relativePathPattern = '^[^/\\\\.][^/\\\\]*(/[^/\\\\.][^/\\\\]*)*$'

/** How pixels become a model's input, all but its size. */
export const preprocessingFields = {
  channels: Type.Union([Type.Literal('RGB'), Type.Literal('BGR')], {
    description: 'Order of the planes; mean and std are given in it'
  }),
  fit: Type.Union([Type.Literal('fill'), Type.Literal('cover')], {
    description: 'fill stretches; cover scales the short side and crops the centre'
  }),
  cropFraction: Type.Number({
    exclusiveMinimum: 0,
    maximum: 1,
    description: 'Share of the scaled short side that is kept: 224 of 256 is 0.875'
  }),
  kernel: Type.Union([
    Type.Literal('nearest'),
    Type.Literal('linear'),
    Type.Literal('cubic'),
    Type.Literal('lanczos3')
  ]),
  scale: Type.Number({ description: 'A channel’s input is (pixel · scale − mean) ÷ std, with pixel in 0–255' }),
  mean: Type.Array(Type.Number(), { minItems: 3, maxItems: 3 }),
  std: Type.Array(Type.Number({ exclusiveMinimum: 0 }), { minItems: 3, maxItems: 3 })
}

/** The first fault of a value, naming the field. `owner` is what may have fields, for the message. */
export function firstFault(errors: TLocalizedValidationError[], owner: string): string {
  const [first] = errors
  const field = `field "${first?.instancePath.slice(1).replaceAll('/', '.') || '(top)'}"`
  const allowed = errors.flatMap(error =>
    error.keyword === 'const' && error.instancePath === first?.instancePath ? [error.params.allowedValue] : []
  )
  if (allowed.length > 0) return `${field} must be ${allowed.join(' or ')}`
  return `${field} ${first?.keyword === 'boolean' ? `is not one that a ${owner} has` : (first?.message ?? 'is not valid')}`
}

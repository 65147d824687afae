import type { FastifyRequest } from 'fastify'
import { Type, type Static } from '@streamsight/schema'
import { nearestNames, shown } from '@streamsight/service'
import { ApiError } from '../errors.ts'

export const defaultTopK = 5

/** On what terms an image is classified: as query parameters, or as fields of the form or the JSON. */
export const Terms = Type.Object(
  {
    topK: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 100, description: `Predictions wanted; ${defaultTopK} if left out` })
    ),
    model: Type.Optional(Type.String({ description: 'Model to ask; the default one if left out' }))
  },
  { additionalProperties: false }
)
export type Terms = Static<typeof Terms>
export const termNames = Object.keys(Terms.properties)

/** What Ajv finds wrong, with the value and the schema around it (option `verbose`). */
interface Violation {
  instancePath: string
  keyword: string
  params: Record<string, unknown>
  message?: string
  data?: unknown
  parentSchema?: object
}

/** The terms in the query of a request, before anything of its body is read. Throws MALFORMED_REQUEST. */
export function termsOfQuery(request: FastifyRequest): Terms {
  return checked(request, { ...(request.query as object) }, 'query parameter')
}

/** The terms of the query and of the body's fields together. Throws MALFORMED_REQUEST, also where the two contradict each other. */
export function termsOf(request: FastifyRequest, fields: Record<string, unknown>): Terms {
  const inQuery = termsOfQuery(request)
  const inBody = checked(request, fields, 'field')
  for (const [name, value] of Object.entries(inBody)) {
    const other = inQuery[name as keyof Terms]
    if (other !== undefined && other !== value)
      throw malformed(`${name} is ${shown(other)} in the query and ${shown(value)} in the body: give it once`)
  }
  return { ...inQuery, ...inBody }
}

/** Says which name is not known here, and what may have been meant. */
export function unknownName(kind: string, name: string, known: readonly string[]): ApiError {
  const [nearest] = nearestNames(name.slice(0, 100), known)
  const advice = nearest === undefined ? `known: ${known.join(', ')}` : `did you mean ${nearest}?`
  return malformed(`Unknown ${kind} ${shown(name)}; ${advice}`)
}

/** Fastify's errors of validation in our words. */
export function violationError(violations: Violation[], part: string): ApiError {
  const [violation] = violations
  if (violation === undefined) return malformed(`The ${part} is not valid`)
  const kind = part === 'querystring' ? 'query parameter' : part
  const { keyword, params, instancePath, data, message = 'not valid', parentSchema } = violation
  if (keyword === 'additionalProperties') {
    const { properties = {} } = (parentSchema ?? {}) as { properties?: object }
    return unknownName(kind, String(params['additionalProperty']), Object.keys(properties))
  }
  return malformed(`${instancePath.slice(1)}=${shown(data)} is not valid: ${message}`)
}

/** Checked and coerced by the schema of the route's query, which is the same for fields. */
function checked(request: FastifyRequest, values: Record<string, unknown>, kind: string): Terms {
  assertWritten(values)
  const check = request.getValidationFunction('querystring')
  if (check === undefined || check(values)) return values
  throw violationError((check.errors ?? []) as Violation[], kind)
}

/** Coercion alone would take 0x10, 1e1, true, null and [3] for numbers, and 400 digits for infinity. */
function assertWritten(values: Record<string, unknown>): void {
  const wrong = termNames.find(name => name in values && !isWritten(name, values[name]))
  if (wrong === undefined) return
  const { type } = Terms.properties[wrong as keyof Terms]
  throw malformed(`${wrong}=${shown(values[wrong])} is not valid: must be ${type}`)
}

function isWritten(name: string, value: unknown): boolean {
  if (Terms.properties[name as keyof Terms].type === 'string') return typeof value === 'string'
  return typeof value === 'number' || (typeof value === 'string' && /^-?\d{1,15}$/.test(value))
}

function malformed(message: string): ApiError {
  return new ApiError('MALFORMED_REQUEST', { message })
}

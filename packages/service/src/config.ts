import { envSchema } from 'env-schema'
import type { Static, TObject } from '@streamsight/schema'

/** What is wrong with the environment, one line a variable. */
export class ConfigError extends Error {
  readonly code = 'CONFIG'
}

interface Violation {
  instancePath: string
  keyword: string
  params: Record<string, unknown>
  message?: string
}
interface Property {
  description?: string
  default?: unknown
}

/**
 * The settings of a process from environment variables, validated and with defaults. An empty variable counts as unset.
 * Throws a ConfigError that names each bad variable, its value and what is allowed.
 */
export function loadConfig<Schema extends TObject>(
  schema: Schema,
  env: Record<string, string | undefined>
): Static<Schema> {
  const data = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''))
  try {
    return envSchema<Static<Schema>>({ schema, data, env: false })
  } catch (error) {
    const violations = (error as { errors?: Violation[] }).errors
    if (violations === undefined) throw error
    throw new ConfigError(violations.map(violation => describe(violation, schema, data)).join('\n'))
  }
}

/** The parts of a comma-separated setting, each once and without the blanks around it. */
export function listOf(setting: string): string[] {
  return [
    ...new Set(
      setting
        .split(',')
        .map(part => part.trim())
        .filter(part => part !== '')
    )
  ]
}

function describe(violation: Violation, schema: TObject, data: Record<string, unknown>): string {
  const name = violation.instancePath.slice(1) || String(violation.params['missingProperty'])
  const property = schema.properties[name] as Property | undefined
  const given = /KEY|TOKEN|PASSWORD|URL/.test(name) ? '(hidden)' : JSON.stringify(data[name])
  const allowed = violation.params['allowedValues'] as unknown[] | undefined
  const rule = allowed ? `must be one of ${allowed.join(', ')}` : violation.message
  return `${name}=${given} is not valid: ${rule}. ${property?.description ?? ''} (default: ${property?.default ?? 'none'})`
}

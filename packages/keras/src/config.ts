/** An object of a JSON file. */
export type Config = Readonly<Record<string, unknown>>

export function isConfig(value: unknown): value is Config {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

import type { Facts, PixelFacts } from '../inspected.ts'
import { ModelError } from '../../store/error.ts'
import type { Artifact } from '../../store/manifest.ts'
import type { Preprocessing } from '../preprocessing.ts'
import { readTextFile } from '../text-file.ts'

/** What stands beside a graph, in files of their own or in its metadata, about the model. */
export interface Companion {
  facts: Facts
  layout?: Artifact['layout'] | undefined
  /** What a person should know, one sentence each. */
  notes?: string[]
}

export type JsonObject = Record<string, unknown>

/** The object in a JSON file. Throws a ModelError that names the file if it holds anything else. */
export async function readJsonObject(path: string): Promise<JsonObject> {
  return parseJsonObject(await readTextFile(path), path)
}

export function parseJsonObject(text: string, path: string): JsonObject {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new ModelError(`${path}: not JSON: ${(error as Error).message}`)
  }
  if (isObject(value)) return value
  throw new ModelError(`${path}: must be a JSON object, and is ${JSON.stringify(value).slice(0, 60)}`)
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A number that a field must be where it is there at all. */
export function numberIn(object: JsonObject, field: string, path: string): number | undefined {
  const value = object[field]
  if (value === undefined || value === null) return undefined
  if (typeof value === 'number' && Number.isFinite(value)) return value
  throw new ModelError(`${path}: field "${field}" is ${JSON.stringify(value)}, not a number`)
}

/** One number a channel; a single number stands for all three. */
export function channelsIn(object: JsonObject, field: string, path: string): number[] | undefined {
  const value = object[field]
  if (value === undefined || value === null) return undefined
  const list: unknown[] = Array.isArray(value) ? value : [value, value, value]
  if (list.length === 3 && list.every(entry => typeof entry === 'number' && Number.isFinite(entry)))
    return list as number[]
  throw new ModelError(`${path}: field "${field}" is ${JSON.stringify(value)}, not three numbers`)
}

/** Pixel settings that all come from one place; what is undefined stays open. */
export function pixelFacts(
  settings: { [Name in keyof Preprocessing]?: Preprocessing[Name] | undefined },
  from: string
): PixelFacts {
  const known = Object.entries(settings).filter(([, value]) => value !== undefined)
  return Object.fromEntries(known.map(([name, value]) => [name, { value, from }])) as PixelFacts
}
